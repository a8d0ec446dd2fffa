"""One small program in four languages: the same loop, sum and condition."""

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
}

# The same programs with every variable renamed (consistently).
RENAMES = {"xs": "values", "low": "limit", "result": "acc", "x": "item"}
