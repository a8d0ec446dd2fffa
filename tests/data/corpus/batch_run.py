"""Run many corpus programs against their tests with one compiler start a language.

The programs are the project's own, so they run directly; models' answers never come here.
Run as a script it checks whole families: `python -m tests.data.corpus.batch_run array_reduce`.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from codemoe.data.corpus.build import CorpusItem, distinct_tasks, render
from codemoe.data.corpus.task import CORPUS_LANGUAGES


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280)
    return done.stdout + (f"\n{command[0]}: {done.stderr[-4000:]}" if done.returncode else "")


def _python(items: list[CorpusItem], folder: Path) -> str:
    lines = ["import traceback"]
    for i, item in enumerate(items):
        program = item.programs["python"]
        lines.append(f"try:\n    exec({program.code + program.tests!r}, {{}})\n    print('ok {i}')")
        lines.append("except BaseException:\n    print(traceback.format_exc())")
    (folder / "all.py").write_text("\n".join(lines))
    return _run([sys.executable, "all.py"], folder)


def _javascript(items: list[CorpusItem], folder: Path) -> str:
    lines = []
    for i, item in enumerate(items):
        program = item.programs["javascript"]
        lines.append(
            f"try {{ (function () {{ 'use strict';\n{program.code}{program.tests}\n}})(); "
        )
        lines.append(f"console.log('ok {i}'); }} catch (e) {{ console.log('{i}: ' + e.stack); }}")
    (folder / "all.js").write_text("\n".join(lines))
    return _run(["node", "all.js"], folder)


def _java(items: list[CorpusItem], folder: Path) -> str:
    calls = []
    for i, item in enumerate(items):
        program = item.programs["java"]
        (folder / f"p{i}").mkdir()
        text = f"package p{i};\n{program.code}{program.tests}".replace(
            "class Main", "public class Main"
        )
        (folder / f"p{i}" / "Main.java").write_text(text)
        calls.append(f"try {{ p{i}.Main.main(a); System.out.println(\"ok {i}\"); }} "
                     f"catch (Throwable t) {{ System.out.println(\"{i}: \" + t); }}")  # fmt: skip
    # A method's size is limited, so each call has its own.
    methods = [f"static void m{i}(String[] a) {{ {call} }}" for i, call in enumerate(calls)]
    runs = [f"m{i}(a);" for i in range(len(calls))]
    (folder / "All.java").write_text(
        "class All {\n" + "\n".join(methods)
        + "\npublic static void main(String[] a) {\n" + "\n".join(runs) + "\n}\n}\n"
    )  # fmt: skip
    sources = [f"p{i}/Main.java" for i in range(len(items))]
    flags = ["-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-proc:none", "-Xmaxerrs", "5"]
    (folder / "sources.txt").write_text("\n".join(["All.java", *sources]))
    compiled = _run(["javac", *flags, "@sources.txt"], folder)
    return compiled + _run(["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "All"], folder)


def _cpp(items: list[CorpusItem], folder: Path) -> str:
    includes: set[str] = set()
    parts = []
    for i, item in enumerate(items):
        text = item.programs["cpp"].code + item.programs["cpp"].tests
        includes.update(re.findall(r"^#include .*$", text, re.M))
        text = re.sub(r"^(#include .*|using namespace std;)$", "", text, flags=re.M)
        parts.append(f"namespace t{i} {{\n{text.replace('int main()', 'void run()')}\n}}")
    # An assertion that fails ends the whole program, so each test function runs in a child.
    calls = [f"check({i}, t{i}::run);" for i in range(len(items))]
    check = (
        "#include <sys/wait.h>\n#include <unistd.h>\n#include <cstdio>\n"
        "static void check(int i, void (*run)()) {\n"
        "  fflush(stdout); int status = 0; int p = fork();\n"
        "  if (p == 0) { run(); _exit(0); }\n  waitpid(p, &status, 0);\n"
        '  if (status == 0) printf("ok %d\\n", i); else printf("%d: failed\\n", i);\n}\n'
    )
    source = "\n".join(
        [*sorted(includes), "using namespace std;", *parts, check, "int main() {", *calls, "}"]
    )
    (folder / "all.cpp").write_text(source)
    compiled = _run(["g++", "-std=c++17", "-O0", "-w", "all.cpp", "-o", "all"], folder)
    return compiled + _run(["./all"], folder)


RUNNERS = {"python": _python, "javascript": _javascript, "java": _java, "cpp": _cpp}


def failures(items: list[CorpusItem], language: str) -> list[str]:
    """What did not pass: "group: output", empty when all did."""
    with TemporaryDirectory() as folder:
        output = RUNNERS[language](items, Path(folder))
    passed = {int(n) for n in re.findall(r"^ok (\d+)$", output, re.M)}
    wrong = [item.group for i, item in enumerate(items) if i not in passed]
    return (
        [f"{language}: {len(wrong)} failed, such as {wrong[:5]}\n{output[-3000:]}"] if wrong else []
    )


if __name__ == "__main__":
    tasks = distinct_tasks(sys.argv[1:] or None)
    rendered = [render(task) for task in tasks]
    print(len(rendered), "tasks")
    thin = [item.group for item in rendered if item.programs["python"].tests.count("assert") < 5]
    print("with fewer than 5 tests:", thin[:10])
    for name in CORPUS_LANGUAGES:
        for start in range(0, len(rendered), 150):
            print(name, start, failures(rendered[start : start + 150], name) or "all pass")
