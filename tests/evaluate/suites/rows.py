"""A row of every published format, written for these tests in the shape of the real files."""

from typing import Any

HUMANEVAL: dict[str, Any] = {
    "task_id": "HumanEval/900",
    "prompt": 'def double(x):\n    """ Twice x. """\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "\n\ndef check(candidate):\n    assert candidate(4) == 8\n",
}
HUMANEVAL_X: dict[str, dict[str, Any]] = {
    "python": {
        "task_id": "Python/900",
        "prompt": HUMANEVAL["prompt"],
        "canonical_solution": "    return 2 * x\n",
        "test": "\ndef check(double):\n    assert double(4) == 8\n\ncheck(double)\n",
        "declaration": "def double(x):\n",
        "example_test": "",
    },
    "javascript": {
        "task_id": "JavaScript/900",
        "prompt": "/* Twice x. */\nconst double = (x) => {\n",
        "canonical_solution": "  return 2 * x;\n}\n\n",
        "test": "const testDouble = () => {\n  console.assert(double(4) === 8)\n}\n"
        "\ntestDouble()\n",
        "declaration": "\nconst double = (x) => {\n",
        "example_test": "",
    },
    "java": {
        "task_id": "Java/900",
        "prompt": "import java.util.*;\n\nclass Solution {\n    /**\n    Twice x.\n     */\n"
        "    public int twice(int x) {\n",
        "canonical_solution": "        return 2 * x;\n    }\n}",
        "test": "public class Main {\n    public static void main(String[] args) {\n"
        "        if (new Solution().twice(4) != 8) { throw new AssertionError(); }\n    }\n}\n",
        "declaration": "class Solution {\n    public int twice(int x) {\n",
        "example_test": "",
    },
    "cpp": {
        "task_id": "CPP/900",
        "prompt": "/*\nTwice x.\n*/\n#include<vector>\nusing namespace std;\nint twice(int x){\n",
        "canonical_solution": "    return 2 * x;\n}\n",
        "test": "#undef NDEBUG\n#include<assert.h>\nint main(){\n    assert (twice(4)==8);\n}\n",
        "declaration": "int twice(int x){\n",
        "example_test": "",
    },
    "go": {
        "task_id": "Go/900",
        "prompt": 'import (\n    "math"\n)\n\n// Twice x.\nfunc Double(x float64) float64 {\n',
        "import": 'import (\n    "math"\n)\n',
        "declaration": "func Double(x float64) float64 {\n",
        "canonical_solution": '    return math.Abs(x) + float64(len(strings.Repeat("a", 4)))\n}\n',
        "test": "func TestDouble(t *testing.T) {\n    assert := assert.New(t)\n"
        "    assert.Equal(8.0, Double(4))\n}\n",
        "test_setup": 'package main\n\nimport (\n    "testing"\n'
        '    "github.com/stretchr/testify/assert"\n)\n',
    },
    "rust": {
        "task_id": "Rust/900",
        "prompt": "\n/*\n Twice x.\n*/\n",
        "declaration": "\nuse std::cmp::max;\nuse rand::Rng;\nuse regex::Regex;\nuse md5;\n"
        "fn double(x:i32) -> i32{\n",
        "canonical_solution": "    return 2 * x;\n}\n",
        "test": "\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n"
        "    fn test_double() {\n        assert_eq!(double(4), 8);\n    }\n}\n",
    },
}
MBPP: dict[str, Any] = {
    "task_id": 900,
    "text": "Write a function to double a number.",
    "code": "def double(x):\r\n  return 2 * x",
    "test_list": ["assert double(4) == 8", "assert double(0) == zero"],
    "test_setup_code": "zero = double(0)",
    "challenge_test_list": [],
}
MBXP: dict[str, dict[str, Any]] = {
    "python": {
        "task_id": "MBPP/900",
        "language": "python",
        "prompt": '\n\ndef double(x):\n\t"""\n\tTwice x.\n\t"""\n',
        "entry_point": "double",
        "canonical_solution": "\treturn 2 * x",
        "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(4) == 8\n\n",
        "description": "Twice x.",
    },
    "python, a function called check": {
        "task_id": "MBPP/901",
        "language": "python",
        "prompt": "def check(x):\n",
        "entry_point": "check",
        "canonical_solution": "    return 2 * x",
        "test": "\n\ndef check(candidate):\n    assert candidate(4) == 8\n",
        "description": "Twice x.",
    },
    "javascript": {
        "task_id": "MBJSP/900",
        "language": "javascript",
        "prompt": "/**\n * Twice x.\n */\nfunction double(x) {\n",
        "entry_point": "double",
        "canonical_solution": "    return [2 * x];\n}",
        "test": '\nconst _ = require("lodash")\n\nfunction compare(a, b){\n'
        "    return _.isEqual(a, b)\n}\n"
        "\nif(!compare(double(4), [8]) || !compare(double(-0), [0])){\n    throw 'Error'\n}\n",
        "description": "Twice x.",
    },
    "java": {
        "task_id": "MBJP/900",
        "language": "java",
        "prompt": "import java.util.*;\n\nclass Twice {\n    /**\n     * * Twice x.\n"
        "     *\n     */\n"
        "    public static int twice(int x) {\n",
        "entry_point": "twice",
        "canonical_solution": "        return 2 * x;\n    }\n}",
        "test": "\n\nclass Main {\n    public static void main(String[] args) throws Exception {\n"
        '        if (Twice.twice(4) != 8) {\n            throw new java.lang.Exception("0");\n'
        "        }\n\n\n}\n}\n",
        "description": "Twice x.",
    },
    "cpp": {
        "task_id": "MBCPP/900",
        "language": "cpp",
        "prompt": "#include <bits/stdc++.h>\nusing namespace std;\n\n\n"
        "/**\n * Twice x.\n */\nint twice(int x) {\n",
        "entry_point": "twice",
        "canonical_solution": "    return 2 * x;\n}",
        "test": "\nint main(int argc, char* argv[]) {\n    if (twice(4) != 8) {\n"
        '        throw runtime_error("0");\n    }\n    return 0;\n}\n',
        "description": "Twice x.",
    },
}
MULTIPL_E: dict[str, dict[str, Any]] = {
    "cpp": {
        "name": "HumanEval_900_twice",
        "language": "cpp",
        "prompt": "#include<assert.h>\n// Twice x.\nlong twice(long x) {\n",
        "tests": "}\nint main() {\n    auto candidate = twice;\n"
        "    assert(candidate((4)) == (8));\n}\n",
        "stop_tokens": ["\n}"],
        "doctests": "transform",
    },
    "java": {
        "name": "HumanEval_900_twice",
        "language": "java",
        "prompt": "import java.util.*;\nclass Problem {\n    // Twice x.\n"
        "    // >>> doubled((4l))\n    // (8l)\n"
        "    public static long twice(long x) {\n",
        "tests": "    }\n    public static void main(String[] args) {\n"
        "    assert(twice((4l)) == (8l));\n    }\n\n}\n",
        "stop_tokens": ["\n    }\n"],
        "doctests": "transform",
    },
    "java, with tuples": {
        "name": "HumanEval_901_both",
        "language": "java",
        "prompt": "import java.util.*;\nimport org.javatuples.*;\nimport java.io.*;\n"
        "class Problem {\n    // Twice x.\n"
        "    public static Pair<Long, Triplet<Long, String, Long>> both(long x) {\n",
        "canonical_solution": "        return Pair.with(2 * x, new Triplet<>(x, "
        '"a", x)).setAt0(2 * x);\n',
        "tests": "    }\n    public static void main(String[] args) {\n"
        '    assert(both(4l).equals((Pair.with(8l, Triplet.with(4l, "a", 4l)))));\n'
        "    assert(!both(4l).equals(Pair.with(8l, 4l)));\n"
        "    assert(both(4l).getValue1().getValue2() == 4l);\n"
        '    assert(both(4l).toString().equals("[8, [4, a, 4]]"));\n    }\n\n}\n',
        "stop_tokens": ["\n    }\n"],
        "doctests": "transform",
    },
    "javascript": {
        "name": "HumanEval_900_twice",
        "language": "js",
        "prompt": "//Twice x.\nfunction twice(x){\n",
        "tests": "const assert = require('node:assert');\n\n\nfunction test() {\n"
        "  let candidate = twice;\n  assert.deepEqual(candidate(4),8);\n}\n\ntest();\n",
        "stop_tokens": ["\nfunction ", "\n/*", "\n//", "\nconsole.log"],
        "doctests": "transform",
    },
}
