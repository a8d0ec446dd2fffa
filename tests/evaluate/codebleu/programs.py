"""One small program in every language: the same loop, sum and condition."""

PROGRAMS = {
    "python": (
        "def total(xs, low):\n"
        "    result = 0\n"
        "    for x in xs:\n"
        "        if x > low:\n"
        "            result += x  # add it\n"
        "    return result\n"
    ),
    "java": (
        "class Main { static int total(int[] xs, int low) { int result = 0;\n"
        "for (int x : xs) { if (x > low) { result += x; /* add it */ } }\n"
        "return result; } }"
    ),
    "javascript": (
        "function total(xs, low) { let result = 0;\n"
        "for (const x of xs) { if (x > low) { result += x; } } // add it\n"
        "return result; }"
    ),
    "cpp": (
        "int total(const vector<int>& xs, int low) { int result = 0;\n"
        "for (int x : xs) { if (x > low) { result += x; } } // add it\n"
        "return result; }"
    ),
    "c": (
        "int total(const int *xs, int low) { int result = 0;\n"
        "for (int x = *xs; ; ) { if (x > low) { result += x; } } // add it\n"
        "return result; }"
    ),
    "csharp": (
        "class Main { static int Total(int[] xs, int low) { int result = 0;\n"
        "foreach (int x in xs) { if (x > low) { result += x; /* add it */ } }\n"
        "return result; } }"
    ),
    "go": (
        "func total(xs []int, low int) int {\n\tresult := 0\n"
        "\tfor _, x := range xs {\n\t\tif x > low {\n\t\t\tresult += x // add it\n"
        "\t\t}\n\t}\n\treturn result\n}\n"
    ),
    "php": (
        "function total($xs, $low) { $result = 0;\n"
        "foreach ($xs as $x) { if ($x > $low) { $result += $x; } } // add it\n"
        "return $result; }"
    ),
    "typescript": (
        "function total(xs: number[], low: number): number { let result = 0;\n"
        "for (const x of xs) { if (x > low) { result += x; } } // add it\n"
        "return result; }"
    ),
    "rust": (
        "fn total(xs: &[i32], low: i32) -> i32 { let mut result = 0;\n"
        "for x in xs { if x > low { result += x; } } // add it\n"
        "return result; }"
    ),
    "ruby": (
        "def total(xs, low)\n  result = 0\n"
        "  for x in xs do\n    if x > low then\n      result += x # add it\n    end\n"
        "  end\n  return result\nend\n"
    ),
}

# The same programs with every variable renamed (consistently).
RENAMES = {"xs": "values", "low": "limit", "result": "acc", "x": "item"}
