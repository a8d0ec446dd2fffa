"""Programs of the tests: (name, language, program, tests, accepted statuses)."""

from typing import NamedTuple

TESTS = {
    "python": "assert add(1, 2) == 3\nassert add(-5, 3) == -2\n",
    "javascript": (
        "const assert = require('assert');\n"
        "assert.deepStrictEqual(add(1, 2), 3);\nassert.strictEqual(add(-5, 3), -2);\n"
    ),
    "java": (
        "class Main {\n  public static void main(String[] args) {\n"
        "    if (Solution.add(1, 2) != 3) throw new AssertionError(Solution.add(1, 2));\n"
        "    assert Solution.add(-5, 3) == -2;\n  }\n}\n"
    ),
    "cpp": "int main() {\n  assert(add(1, 2) == 3);\n  assert(add(-5, 3) == -2);\n}\n",
}


class Case(NamedTuple):
    name: str
    language: str
    program: str
    accepted: str  # statuses, separated by blanks
    tests: str | None = None


PY = "def add(a, b):\n    return a + b\n"
JS = "function add(a, b) { return a + b; }\n"
JAVA = "class Solution {\n  static int add(int a, int b) { return a + b; }\n}\n"
CPP = "int add(int a, int b) { return a + b; }\n"


def _java(body: str, before: str = "") -> str:
    return f"class Solution {{ {before}\n  static int add(int a, int b) {{ {body} }}\n}}\n"


PLAIN = [
    Case("right", "python", PY, "pass"),
    Case("wrong", "python", PY.replace("+", "-"), "fail"),
    Case("raises", "python", "def add(a, b):\n    return {}[a]\n", "error"),
    Case("syntax", "python", "def add(a, b:\n", "error"),
    Case("missing name", "python", "x = 1\n", "error"),
    Case("deep nesting", "python", PY + "x = " + "(" * 5000 + ")" * 5000, "error"),
    Case("deep recursion", "python", "def add(a, b):\n    return add(a, b)\n", "error"),
    Case("main guard", "python", PY + "if __name__ == '__main__':\n    input()\n", "pass"),
    Case(
        "dataclass and typing",
        "python",
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from collections import namedtuple\nfrom enum import Enum\n"
        "@dataclass\nclass P:\n    x: int\nQ = namedtuple('Q', 'x')\nE = Enum('E', 'A')\n"
        "def add(a, b):\n    return P(a).x + Q(b).x\n",
        "pass",
    ),
    Case(
        "equality the tests know",
        "python",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "def make(x):\n    return P(x)\n",
        "pass",
        "assert make(3) == P(3)\n",
    ),
    Case(
        "callback and generator",
        "python",
        "def twice(f, x):\n    return f(f(x))\ndef count():\n    yield 1\n    yield 2\n",
        "pass",
        "assert twice(lambda x: twice(lambda y: y + 1, x), 0) == 4\n"
        "assert list(count()) == [1, 2]\n",
    ),
    Case(
        "expected exception",
        "python",
        "def f(x):\n    raise ValueError(x)\n",
        "pass",
        "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    assert False\n",
    ),
    Case("right", "javascript", JS, "pass"),
    Case("wrong", "javascript", JS.replace("+", "-"), "fail"),
    Case("raises", "javascript", "const add = (a, b) => a.x.y;\n", "error"),
    Case("syntax", "javascript", "function add(a, b {\n", "error"),
    Case("missing name", "javascript", "const x = 1;\n", "error"),
    Case("const", "javascript", "const add = (a, b) => a + b;\n", "pass"),
    Case(
        "async tests",
        "javascript",
        "const add = async (a, b) => a - b;\n",
        "fail",
        "const assert = require('assert');\n(async () => assert.equal(await add(1, 2), 3))();\n",
    ),
    Case(
        "console.assert",
        "javascript",
        JS.replace("+", "-"),
        "fail",
        "console.assert(add(1, 2) === 3);\n",
    ),
    Case("right", "java", JAVA, "pass"),
    Case("wrong", "java", JAVA.replace("+", "-"), "fail"),
    Case("wrong, seen by assert only", "java", _java("return a < 0 ? 7 : a + b;"), "fail"),
    Case("raises", "java", _java("return (new int[0])[a];"), "error"),
    Case("syntax", "java", "class Solution { static int add(int a { }\n", "compile_error"),
    Case("public class", "java", "import java.util.*;\npublic " + JAVA, "pass"),
    Case(
        "tests with imports",
        "java",
        JAVA,
        "pass",
        "import java.util.List;\nimport static java.lang.Math.*;\n" + TESTS["java"],
    ),
    Case(
        "tests close the class",
        "java",
        "import java.util.*;\nclass Problem {\n  public static long add(long a, long b) {\n"
        "    return a + b;\n",
        "pass",
        "  }\n  public static void main(String[] args) {\n    assert(add(1L, 2L) == (3L));\n"
        "  }\n}\n",
    ),
    Case(
        "maps written with a block, as answer and as expected",
        "java",
        "import java.util.*;\nclass Solution {\n"
        "  static List<Object> add(Map<String, Integer> map) {\n"
        "    return new ArrayList<>(List.of(1, map));\n  }\n}\n",
        "pass",
        "class Main {\n  public static void main(String[] args) {\n"
        '    assert Solution.add(new HashMap(){{put("a", 1);}})\n'
        '        .equals(Arrays.asList(1, new HashMap(){{put("a", 1);}}));\n  }\n}\n',
    ),
    Case("stack overflow", "java", _java("return add(a, b);"), "error"),
    Case(
        "deep nesting",
        "java",
        _java("return a + b;", "static int z = " + "(" * 30000 + "1" + ")" * 30000 + ";"),
        "compile_error",
    ),
    Case("right", "cpp", CPP, "pass"),
    Case("wrong", "cpp", CPP.replace("+", "-"), "fail"),
    Case("raises", "cpp", 'int add(int a, int b) { return std::stoi("x"); }\n', "error"),
    Case("syntax", "cpp", "int add(int a, int b { }\n", "compile_error"),
    Case("missing name", "cpp", "int x;\n", "compile_error"),
    Case("main with arguments", "cpp", CPP, "pass", "int main(int n, char** v) { return 0; }"),
    Case("main returns 3", "cpp", CPP, "error", "int main() { return 3; }"),
    Case(
        "tests close the function",
        "cpp",
        "#include<assert.h>\n#include<bits/stdc++.h>\nlong add(long a, long b) {\n"
        "  return a + b;\n",
        "pass",
        "}\n" + TESTS["cpp"],
    ),
    Case("segmentation fault", "cpp", "int add(int a, int b) { return *(int*)0; }\n", "crash"),
    Case("abort", "cpp", "int add(int a, int b) { abort(); }\n", "crash"),
]

_PY_RIGHT = "\ndef add(a, b):\n    return a + b\n"

# Programs that try to pass without being right: none of them may.
CHEATS = [
    Case("sys.exit(0)", "python", "import sys\nsys.exit(0)\n", "no_verdict"),
    Case("os._exit(0)", "python", "def add(a, b):\n    import os; os._exit(0)\n", "no_verdict"),
    Case(
        "writes to every descriptor",
        "python",
        "import os\nfor fd in range(1, 64):\n    try: os.write(fd, b'P ' + b'0' * 32 + b'\\n"
        "pass\\n')\n"
        "    except OSError: pass\nos._exit(0)\n",
        "no_verdict fail error",
    ),
    Case(
        "equal to everything",
        "python",
        "class A(int):\n    def __eq__(self, o): return True\n    __module__ = 'builtins'\n"
        "def add(a, b):\n    return A()\n",
        "fail",
    ),
    Case(
        "patches exec and all builtins",
        "python",
        "import builtins\nfor n in ('exec', 'compile', 'isinstance', 'type', 'len'):\n"
        "    setattr(builtins, n, lambda *a: None)\ndef add(a, b): return 0\n",
        "fail error",
    ),
    Case(
        "searches the frames of the caller",
        "python",
        "import sys\ndef add(a, b):\n    f = sys._getframe(1)\n    while f:\n"
        "        for c in f.f_code.co_consts:\n            if c == a + b: return c\n"
        "        f = f.f_back\n",
        "fail error",
    ),
    Case(
        "looks for the nonce in frames, threads and memory",
        "python",
        "import os, re, sys, gc\ndef add(a, b):\n    found = []\n"
        "    memory = lambda: open('/proc/self/mem', 'rb')\n"
        "    for get in (sys._current_frames, gc.get_objects, memory):\n"
        "        try: found.append(get())\n        except (ValueError, OSError): pass\n"
        "    assert not found\n    f = sys._getframe()\n    while f:\n"
        "        text = repr(f.f_locals) + repr(f.f_globals)\n"
        "        for n in re.findall('[0-9a-f]{32}', text):\n            for fd in range(3, 32):\n"
        "                try: os.write(fd, b'P ' + n.encode() + b'\\n')\n"
        "                except OSError: pass\n        f = f.f_back\n    os._exit(0)\n",
        "no_verdict fail",
    ),
    Case(
        "catches everything, for ever",
        "python",
        "def add(a, b):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass\n",
        "timeout",
    ),
    Case("process.exit(0)", "javascript", "process.exit(0);\n", "no_verdict"),
    Case(
        "replaces assert",
        "javascript",
        "const a = require('assert');\na.strictEqual = a.deepStrictEqual = () => {};\n"
        "JSON.stringify = () => '';\nfunction add() { return 0; }\n",
        "fail",
    ),
    Case(
        "replaces require",
        "javascript",
        "globalThis.require = () => new Proxy({}, { get: () => () => {} });\n"
        "function add() { return 0; }\n",
        "fail error",
    ),
    Case("declares require", "javascript", "const require = () => 0;\n", "error"),
    Case(
        "replaces the script runner",
        "javascript",
        "const vm = require('vm');\nlet p = vm.Script.prototype;\n"
        "while (p && p !== Object.prototype) {\n"
        "  try { p.runInThisContext = () => {}; } catch {}\n  p = Object.getPrototypeOf(p);\n}\n"
        "function add() { return 0; }\n",
        "fail error",
    ),
    Case(
        "announces the end itself",
        "javascript",
        "process.emit('beforeExit', 0);\nfunction add() { return 0; }\n",
        "fail",
    ),
    Case(
        "swallows rejections",
        "javascript",
        "process.on('unhandledRejection', () => {});\nprocess.on('uncaughtException', () => {});\n"
        "const add = async () => 0;\n",
        "fail",
        "const assert = require('assert');\n(async () => assert.equal(await add(1, 2), 3))();\n",
    ),
    Case("System.exit(0)", "java", _java("System.exit(0); return 0;"), "no_verdict"),
    Case(
        "halt in a static block",
        "java",
        _java("return 0;", "static { Runtime.getRuntime().halt(0); }"),
        "no_verdict",
    ),
    Case(
        "brings its own main",
        "java",
        "class Problem {\n  static long add(long a, long b) { return 0; }\n}\n"
        "class Main { public static void main(String[] a) { } }\nclass Other {\n"
        "  static long add(long a, long b) {\n    return 0;\n",
        "fail",
        "  }\n  public static void main(String[] args) {\n    assert(add(1L, 2L) == (3L));\n"
        "  }\n}\n",
    ),
    Case(
        "switches assertions off",
        "java",
        _java(
            "return a < 0 ? 7 : a + b;",
            "static { Solution.class.getClassLoader().setDefaultAssertionStatus(false); }",
        ),
        "fail",
    ),
    Case("opens a comment over the tests", "java", JAVA + "/*", "compile_error"),
    Case(
        "exit in a constructor",
        "cpp",
        "struct Q { Q() { _Exit(0); } } q;\nint add(int a, int b) { return 0; }\n",
        "no_verdict",
    ),
    Case(
        "own assert",
        "cpp",
        "#define NDEBUG\n#undef assert\n#define assert(x) ((void)0)\n"
        "int add(int, int) { return 0; }\n",
        "fail compile_error",
    ),
    Case(
        "own main",
        "cpp",
        "int add(int, int) { return 0; }\nint main() { return 0; }\n#define main other\n",
        "compile_error",
    ),
    Case(
        "own keywords",
        "cpp",
        "int add(int, int) { return 0; }\n#define if(x) if (0)\n#define throw (void)\n",
        "fail compile_error",
        'int main() { if (add(1, 2) != 3) throw std::runtime_error("test case 0"); }',
    ),
    Case(
        "reads the nonce from the pipe",
        "cpp",
        "#include <unistd.h>\nstruct Q { Q() { char b[64]; auto n = read(0, b, 64);\n"
        "  for (int fd = 3; fd < 32; ++fd) if (n > 0) (void)!write(fd, b, n);\n  _Exit(0); } } q;\n"
        "int add(int, int) { return 0; }\n",
        "no_verdict",
    ),
]

# Programs that attack the machine; what is on the right may happen to them.
HOSTILE = [
    Case("infinite loop", "python", "while True: pass\n", "timeout"),
    Case("sleep", "python", "import time\ntime.sleep(600)\n", "timeout"),
    Case("fork bomb", "python", "import os\nwhile True: os.fork()\n", "error timeout"),
    Case("memory bomb", "python", "x = []\nwhile True: x.append(bytearray(10**7))\n", "oom"),
    Case(
        "disk fill",
        "python",
        "n = 0\nwhile True:\n    n += 1\n"
        "    with open(f'/tmp/{n}', 'wb') as f: f.write(bytes(2**22))\n",
        "error output_limit",
    ),
    Case("endless output", "python", "while True: print('A' * 65536)\n", "output_limit"),
    Case("3 MB of output", "python", f"print('A' * 3_000_000)\n{PY}", "pass"),
    Case(
        "bytes that are no text",
        "python",
        f"import sys\nsys.stdout.buffer.write(b'\\xff\\0\\x1b[2J')\n{PY}",
        "pass",
    ),
    Case("reads input", "python", "v = input()\n", "error"),
    Case(
        "reads secrets",
        "python",
        "import os\nfor p in ('/etc/shadow', '/etc/passwd', '/root', '/home', '/srv', '/var'):\n"
        "    try: found = os.listdir(p) if os.path.isdir(p) else open(p).read()\n"
        "    except OSError: found = None\n    assert not found, p\n"
        "assert 'SANDBOX_TEST_SECRET' not in os.environ\n"
        "assert b'SECRET' not in open('/proc/1/environ', 'rb').read()\n"
        "assert sum(p.isdigit() for p in os.listdir('/proc')) < 5\nassert os.getuid() != 0\n" + PY,
        "pass",
    ),
    Case(
        "writes outside",
        "python",
        "for p in ('/usr/x', '/etc/x', '/x', '../x', '/dev/x', '/proc/sys/kernel/core_pattern'):\n"
        "    try: open(p, 'w').write('x')\n    except OSError: continue\n    assert False, p\n"
        + PY,
        "pass",
    ),
    Case(
        "network",
        "python",
        "import socket\nfor a in (('127.0.0.1', PORT), ('1.1.1.1', 53)):\n"
        "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
        "        if kind == socket.SOCK_DGRAM and a[1] == PORT: continue\n"
        "        s = socket.socket(socket.AF_INET, kind)\n        s.settimeout(0.3)\n"
        "        try:\n            s.connect(a)\n            s.send(b'x')\n"
        "        except OSError: continue\n        assert False, a\n" + PY,
        "pass error",
    ),
    Case(
        "kills what it can",
        "python",
        "import os\nfor p in [os.getppid(), *range(1, 400)]:\n    if p != os.getpid():\n"
        "        try: os.kill(p, 9)\n        except OSError: pass\n" + PY,
        "pass crash error",
    ),
    Case(
        "leaves a daemon",
        "python",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(600)\n    os._exit(0)\n" + PY,
        "pass error",
    ),
    Case(
        "memory bomb",
        "javascript",
        "const x = [];\nfor (;;) x.push(new Array(1e6).fill(1));\n",
        "oom",
    ),
    Case(
        "off-heap bomb",
        "javascript",
        "const x = [];\nfor (;;) x.push(Buffer.alloc(1e7, 1));\n",
        "oom",
    ),
    Case(
        "endless promises",
        "javascript",
        "const f = () => { Promise.resolve().then(f); };\n" + JS.replace("return", "f(); return"),
        "timeout",
    ),
    Case(
        "memory bomb",
        "java",
        _java("int[][] x = new int[9999][]; for (int i = 0;; i++) x[i] = new int[999999];"),
        "oom",
    ),
    Case(
        "catches all, for ever",
        "java",
        _java("for (;;) { try { Thread.sleep(5); } catch (Throwable t) { } }"),
        "timeout",
    ),
    Case("infinite recursion", "cpp", "int add(int a, int b) { return add(b, a) + 1; }\n", "crash"),
    Case(
        "memory bomb",
        "cpp",
        "int add(int, int) { for (;;) memset(new char[9999999], 1, 9999999); }\n",
        "oom",
    ),
    Case("includes a secret", "cpp", '#include "/etc/shadow"\n' + CPP, "compile_error"),
    Case("giant array", "cpp", "char x[1ull << 33] = {1};\n" + CPP, "compile_error"),
]

# Half a minute each on a busy machine.
SLOW = [
    Case(
        "template bomb",
        "cpp",
        "template<int N, int M> struct F {\n"
        "  static const long v = F<N-1, 2*M>::v + F<N-1, 2*M+1>::v;\n};\n"
        "template<int M> struct F<0, M> { static const long v = M; };\nlong z = F<26, 0>::v;\n"
        + CPP,
        "compile_error",
    ),
    Case("includes random bytes", "cpp", '#include "/dev/urandom"\n' + CPP, "compile_error"),
    Case(
        "fork loop",
        "cpp",
        "#include <unistd.h>\nint add(int, int) { for (;;) fork(); }\n",
        "timeout crash error",
    ),
]
