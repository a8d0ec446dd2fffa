"""How fast this machine is: a trivial program of each language, timed before the first real one.

Limits are meant for an idle machine of 2020 or later. On a slower or busier one they grow by the
factor measured here (never below 1), so that a verdict says something about the program and not
about the machine. The trivial program must pass: a toolchain that cannot run it is reported as
missing, instead of failing every program.
"""

import time

from codemoe.evaluate.sandbox.judgement import Driver
from codemoe.evaluate.sandbox.records import Job
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import MissingTool

_MAX_SCALE = 8.0
# language: program, tests, seconds on the machine that the default limits were chosen on.
_TRIVIAL = {
    "python": ("def one():\n    return 1\n", "assert one() == 1\n", 0.06),
    "javascript": (
        "function one() { return 1; }\n",
        "require('assert').strictEqual(one(), 1);\n",
        0.12,
    ),
    "typescript": (
        "function one(): number { return 1; }\n",
        "require('assert').strictEqual(one(), 1);\n",
        0.15,
    ),
    "java": (
        "class One { static int one() { return 1; } }\n",
        "class Main { public static void main(String[] a) { assert One.one() == 1; } }\n",
        0.25,
    ),
    "cpp": ("int one() { return 1; }\n", "int main() { assert(one() == 1); }\n", 0.7),
    "c": ("int one(void) { return 1; }\n", "int main(void) { assert(one() == 1); }\n", 0.15),
    "go": (
        "package main\n\nfunc one() int { return 1 }\n",
        "func main() { if one() != 1 { panic(1) } }\n",
        0.5,
    ),
    "rust": ("fn one() -> i32 { 1 }\n", "fn main() { assert_eq!(one(), 1); }\n", 0.5),
    "php": (
        "<?php\nfunction one() { return 1; }\n",
        "if (one() !== 1) { throw new Exception(); }",
        0.1,
    ),
    "csharp": (
        "using System.Diagnostics;\nclass Problem {\n  public static int One() { return 1; }\n",
        "  public static void Main(string[] a) { Debug.Assert(One() == 1); }\n}\n",
        0.9,
    ),
}


def time_scale(language: str, driver: Driver, slot: Slot) -> float:
    """By how much this machine is slower than the one that limits are meant for, at least 1.

    Raises MissingTool when the trivial program does not pass.
    """
    if language not in _TRIVIAL:
        return 1.0
    program, tests, expected_s = _TRIVIAL[language]
    seconds = []
    for attempt in range(2):  # the first one also builds what is kept
        begun = time.monotonic()
        judgement = driver.judge(Job("calibration", language, program, tests), slot)
        seconds.append(time.monotonic() - begun)
        if judgement.status not in ("pass", "timeout") and attempt == 1:
            what = f"{judgement.status}: {judgement.detail}".rstrip(": ")
            raise MissingTool(f"the toolchain does not work in the sandbox ({what})")
    return min(_MAX_SCALE, max(1.0, min(seconds) / expected_s))
