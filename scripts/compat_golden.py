# ruff: noqa: E501 (programs)
"""What the codebleu package 0.7.0 makes of programs, for tests/evaluate/codebleu/compat.

    python scripts/compat_golden.py peer/bin/python today/bin/python

benchmarks/codebleu_package.py says how to make the two virtual environments: the package on the
parser and the grammars that it pins, and on codemoe's.

- golden_changed.json, from the first: sound code that today's grammars build otherwise;
- golden_broken.json, from the second: the tests' programs cut, doubled and sprinkled with signs;
  and Python in one line.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from codemoe.evaluate.codebleu.compat import PACKAGE_LANGUAGES  # noqa: E402
from tests.evaluate.codebleu.programs import PROGRAMS  # noqa: E402

OUT = ROOT / "tests/evaluate/codebleu/compat"
SEEDS = range(24)
SIGNS = ("", "#", '"', " x ", "$x", "é", "'", "\n", ";", "{", "/* a */", "// b\n", "(a, b)")
PAIRS = 6  # of a language
SOUND = {
    "cpp": (
        "auto f = [&x, y](int a) { return x + y + a; };",
        "auto g = [=, &x, this]() { x = 1; };",
        "auto h = [x = 1, &y = z]() { return x; };",
        "auto k = [this, *this] { };",
        "class A {\npublic:\n    virtual int f(int a) const = 0;\n    virtual ~A() = 0;\n    int count = 0;\n    int *next = 0;\n    int other = 5;\n};",
        "class D : virtual public B, public virtual C {\n    virtual void run() { go(); }\n    virtual operator int() const;\n    static const int z = 0;\n    D() = default;\n    D(D&) = delete;\n};",
        "template <class T> struct N { T v; N* next = nullptr; int n = 0; virtual T get() = 0; };",
    ),
    "csharp": (
        '[A(B = 1, C = typeof(int), "x")]\nclass X { int a; }',
        '[Route(template: "a", Order = 2)]\nclass Y { [Key(Name = "k")] public int Id { get; set; } }',
        "[Test]\nclass Z { [Case(1, 2)] void F() { g(a: 1); } }",
    ),
    "rust": (
        "fn f<T: A = B>(x: T) -> T { x }",
        "fn f<'a: 'b, T: A + 'a, const N: usize>(x: &'a T) -> usize { N }",
        "fn f<F>(g: F) where for<'a> F: Fn(&'a i32) { g(&1) }",
        "struct A<'a, T>(&'a T);",
        "trait X<T> { type Y<U>; fn g<V: Ord>(&self, v: V); }",
        "impl<K: Hash + Eq, V> Map<K, V> where K: Clone { fn len(&self) -> usize { self.n } }",
        "enum E<T = u8> { A(T), B }",
        "type A<T> = Vec<T>;",
        "fn plain(x: i32) -> i32 { x + 1 }",
    ),
    "php": (
        "<?php use A\\{B\\E, function C as D, F};\n$x = 1;",
        "<?php use function A\\{b, c};\n",
        "<?php $x = new class(1) extends B implements C { public $a = 2; };",
        "<?php use A\\B as C, D;\nuse \\E\\F;\nuse G;",
        "<?php $x = new #[A] class { function f() { return 1; } };",
        "<?php function f(?callable $x, array $y): callable { return $x; }",
        "<?php $f = fn(callable $x) => $x; $g = new Foo(1);",
        "<?php namespace A\\B; use \\C; class D extends \\E { private int $n = 0; private $m; }",
    ),
    "python": (
        "try:\n    a()\nexcept* (E, F) as e:\n    b(e)\nelse:\n    c()\n",
        "try:\n    a()\nexcept E:\n    b()\nfinally:\n    c()\n",
        "try:\n    a()\nexcept:\n    if x not in y and x is not z:\n        b()\n",
    ),
    "javascript": (
        "for (i = 0; i < 3; i++) { f(i); }",
        "for (let i = 0; ; ) { break; }",
        "for (;;) { g(); }",
        "for (var a = 1, b = 2; a < b; a++, b--) h(a);",
    ),
    "go": (
        "package m\n\nfunc f() int {\n\ta[i][j] = b[c[k]]\n\tx.y[i][z.w] = 1\n\treturn m[k]\n}\n",
        'package m\n\nvar p = T{a: 1, b: []int{1, 2}}\n\nfunc g() string {\n\treturn `raw` + "x"\n}\n',
    ),
}


def sound() -> list[dict[str, str]]:
    """Each program beside the next two of its language."""
    return [
        {"language": language, "reference": code, "prediction": codes[(at + step) % len(codes)]}
        for language, codes in SOUND.items()
        for at, code in enumerate(codes)
        for step in (1, 2)
    ]


def broken() -> list[dict[str, str]]:
    chance = random.Random(0)
    found = []
    for language in sorted(PACKAGE_LANGUAGES):
        code = PROGRAMS[language]
        for at in range(PAIRS):
            start = chance.randrange(len(code))
            end = start + chance.randrange(12)
            answer = code[:start] + chance.choice(SIGNS) + code[end:]
            if at % 3 == 2:
                answer = answer[: chance.randrange(len(code) // 2, len(code))]
            sides = [code, answer] if at % 2 else [answer, code]
            found.append(dict(zip(("reference", "prediction"), sides, strict=True)))
            found[-1]["language"] = language
    code = PROGRAMS["python"]
    for mark in (" NEW_LINE ", " "):  # as data sets keep it: no grammar reads it
        line = mark.join(code.split("\n"))
        found.append({"language": "python", "reference": line, "prediction": code})
        found.append(
            {"language": "python", "reference": line, "prediction": line.replace("x", "y")}
        )
    return found


def record(python: str, rows: list[dict[str, str]], name: str) -> None:
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "rows.json", Path(folder) / "out.json"
        given.write_text(json.dumps(rows), encoding="utf-8")
        for seed in SEEDS:
            command = [python, str(ROOT / "benchmarks/codebleu_peer.py"), str(given), str(out)]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": str(seed)})
            runs.append(json.loads(out.read_text(encoding="utf-8"))["scores"])
    golden = []
    for row, *scores in zip(rows, *runs, strict=True):
        ngram, weighted, syntax = scores[0][1:4]
        golden.append(
            {
                **row,
                "ngram_match": ngram,
                "weighted_ngram_match": weighted,
                "syntax_match": syntax,
                "dataflow_match": sorted({round(score[4], 12) for score in scores}),
            }
        )
    text = json.dumps(golden, indent=0, ensure_ascii=False) + "\n"
    (OUT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1], sound(), "golden_changed.json")
    record(sys.argv[2], broken(), "golden_broken.json")
