"""pytest tests/evaluate/sandbox/test_strong.py: what travels between tests and candidate.

Each case passes in one process, and so must pass with the tests in another one; each has a wrong
twin that must not.
"""
# ruff: noqa: E501 (programs read better in long lines)

import pytest

from codemoe.evaluate.sandbox import Job, Limits, Verdict, probe, run_jobs

pytestmark = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")

# (program, tests that hold, tests that do not)
PYTHON = {
    "plain values": (
        "def f(x): return x\n",
        "import math\nfor v in [None, True, 0, -3, 10**40, 1.5, float('inf'), 'h\\u00e9\\ud800', b'\\0',"
        " 2+3j, [1, [2]], (1, (2,)), {1: 'a', (1, 2): [3]}, {1, 2}, frozenset([1]), ...]:\n"
        "    r = f(v)\n    assert r == v and type(r) is type(v), (v, r)\n"
        "assert math.isnan(f(float('nan')))\nassert math.copysign(1, f(-0.0)) == -1\n",
        "assert type(f((1,))) is list",
    ),
    "library values": (
        "from collections import *\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "import datetime\nP = namedtuple('P', 'x y')\n"
        "def f(): return [Counter('aab'), OrderedDict(a=1), deque([1, 2], 5), Decimal('1.5'),"
        " Fraction(1, 3), datetime.date(2020, 1, 2), P(1, 2), {1: 2}.keys(), range(3),"
        " defaultdict(list, {1: [2]})]\n",
        "r = f()\nassert r[0] == {'a': 2, 'b': 1} and r[0].most_common(1) == [('a', 2)]\n"
        "assert list(r[1].items()) == [('a', 1)] and r[2].maxlen == 5\nassert str(r[3]) == '1.5'\n"
        "assert r[4] * 3 == 1 and r[5].year == 2020\nassert r[6] == (1, 2) and r[6].y == 2\n"
        "assert r[7] == {1} and list(r[8]) == [0, 1, 2] and r[9] == {1: [2]}\n",
        "assert f()[0] == {'a': 3}",
    ),
    "changed arguments keep their identity": (
        "def f(a, d, s):\n    a.append([1])\n    a[0].append(5)\n    d['k'] = a\n    s.discard(1)\n"
        "    return a\n",
        "inner = []\na, d, s = [inner], {}, {1, 2}\nr = f(a, d, s)\n"
        "assert r is a and a[0] is inner and inner == [5] and a == [[5], [1]]\n"
        "assert d['k'] is a and s == {2}\n",
        "a, d, s = [[]], {}, {1}\nf(a, d, s)\nassert a == [[]]",
    ),
    "exceptions": (
        "class Own(ValueError): pass\n"
        "def f(n):\n    if n == 0: raise KeyError('k')\n    if n == 1: raise Own('text', 3)\n"
        "    return 1 / 0\n",
        "for n, kind in [(0, KeyError), (1, ValueError), (1, Own), (2, ZeroDivisionError)]:\n"
        "    try: f(n)\n    except kind as e: got = e\n    else: assert False\n"
        "try: f(1)\nexcept Own as e: assert e.args == ('text', 3)\n",
        "try: f(0)\nexcept ValueError: pass\n",
    ),
    "callbacks": (
        "def f(g, xs): return sorted(xs, key=g)\ndef h(g):\n    try: return g()\n"
        "    except LookupError: return 'caught'\n",
        "def bad(): raise IndexError('x')\nassert f(lambda x: -x, [1, 3, 2]) == [3, 2, 1]\n"
        "assert h(bad) == 'caught'\nassert f(abs, [-3, 2]) == [2, -3]\nassert f(len, ['aa', 'b']) == "
        "['b', 'aa']\n",
        "assert f(lambda x: x, [2, 1]) == [2, 1]",
    ),
    "objects": (
        "class V:\n    n = 0\n    def __init__(s, x): s.x = x; V.n += 1\n"
        "    def __eq__(s, o): return s.x == o.x\n    def __add__(s, o): return V(s.x + o.x)\n"
        "    def __len__(s): return s.x\n    def __iter__(s): return iter(range(s.x))\n"
        "    def grow(s, by=1): s.x += by; return s\n    def __str__(s): return f'V{s.x}'\n"
        "def make(x): return V(x)\ndef gen():\n    yield 1\n    yield 2\n",
        "v = make(2)\nassert v.grow().x == 3 and len(v) == 3 and list(v) == [0, 1, 2]\n"
        "assert V(1) + V(2) == V(3) and V(1) != V(2) and str(V(4)) == 'V4'\n"
        "assert isinstance(v, V)\nassert list(gen()) == [1, 2] and next(gen()) == 1\nv.x = 9\n"
        "assert v.x == 9\n",
        "assert make(2) == 2",
    ),
    "modules and constants": (
        "import math\nfrom itertools import chain\nLIMIT = [1, 2]\ndef f(x): return math.floor(x)\n",
        "assert math.ceil(0.5) == 1 and f(2.5) == 2 and LIMIT == [1, 2]\n"
        "assert list(chain([1], [2])) == [1, 2]\n",
        "assert LIMIT == [2]",
    ),
    "a name of the builtins that is asked for": (
        "def sum(xs): return 'mine'\n",
        "assert sum([1]) == 'mine'",
        "assert sum([1]) == 1",
    ),
}
JAVASCRIPT = {
    "plain values": (
        "const f = (x) => x;\n",
        "const a = require('assert');\nfor (const v of [null, undefined, true, 0, -0, NaN, Infinity, "
        "2n ** 70n, 'h\\u00e9\\ud800', [1, [2]], [1, , 3], { a: { b: 1 } }, new Map([[1, [2]]]), "
        "new Set([1]), new Date(5), /x/gi, new Uint8Array([1, 2]), new TypeError('t')]) "
        "a.deepStrictEqual(f(v), v);\n",
        "require('assert').deepStrictEqual(f(-0), 0);",
    ),
    "changed arguments": (
        "const f = (a, o) => { a.sort(); o.k = a; return a; };\n",
        "const a = require('assert'); const x = [3, 1, 2], o = {};\na.strictEqual(f(x, o), x);\n"
        "a.deepEqual(x, [1, 2, 3]); a.strictEqual(o.k, x);\n",
        "const x = [2, 1]; f(x, {}); require('assert').deepEqual(x, [2, 1]);",
    ),
    "errors": (
        "class Own extends RangeError {}\nconst f = (n) => { throw n ? new Own('text') : 'plain'; };\n",
        "const a = require('assert'); a.throws(() => f(1), RangeError); a.throws(() => f(1), /text/);\n"
        "let e; try { f(0); } catch (x) { e = x; } a.equal(e, 'plain');\n",
        "require('assert').throws(() => f(1), TypeError);",
    ),
    "functions": (
        "const f = (g, xs) => xs.map(g);\nconst counter = () => { let n = 0; return () => ++n; };\n",
        "const a = require('assert'); a.deepEqual(f((x) => x * 2, [1, 2]), [2, 4]);\n"
        "const c = counter(); c(); a.equal(c(), 2); a.equal(f.length, 2); a.equal(f.name, 'f');\n",
        "require('assert').deepEqual(f((x) => x, [1]), [2]);",
    ),
    "objects of classes": (
        "class P { constructor(x) { this.x = x; } twice() { return this.x * 2; } "
        "set(x) { this.x = x; return this; } *[Symbol.iterator]() { yield this.x; } }\n"
        "const make = (x) => new P(x);\n",
        "const a = require('assert'); const p = make(2); a.equal(p.twice(), 4); a.deepEqual(p, { x: 2 });\n"
        "a.equal(p.set(5).x, 5); a.equal(p.x, 5); a.deepEqual([...p], [5]); a.equal(new P(3).x, 3);\n",
        "require('assert').equal(make(2).twice(), 5);",
    ),
    "promises": (
        "const f = async (x) => { if (x < 0) throw new Error('neg'); return x + 1; };\n",
        "const a = require('assert'); (async () => { a.equal(await f(1), 2); "
        "await a.rejects(f(-1), /neg/); })();\n",
        "(async () => require('assert').equal(await f(1), 3))();",
    ),
    "a module that both load": (
        "const g = (x) => _.isEqual(x, [1]);\n",
        "const _ = require('util'); const a = require('assert'); _.isEqual;\n"
        "a.throws(() => g([1]), TypeError);\n",
        "require('assert').equal(1, 2);",
    ),
}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    jobs = []
    for language, cases in (("python", PYTHON), ("javascript", JAVASCRIPT)):
        for name, (program, right, wrong) in cases.items():
            entry = "sum" if "builtins" in name else None
            jobs.append(Job(f"{language} {name} right", language, program, right, "", entry))
            jobs.append(Job(f"{language} {name} wrong", language, program, wrong, "", entry))
    return {v.id: v for v in run_jobs(jobs, Limits(wall_s=10), calibrate=False)}


@pytest.mark.parametrize(
    "name", [*(f"python {n}" for n in PYTHON), *(f"javascript {n}" for n in JAVASCRIPT)]
)
def test_values_travel(name: str, verdicts: dict[str, Verdict]) -> None:
    right, wrong = verdicts[f"{name} right"], verdicts[f"{name} wrong"]
    if right.status == "missing_toolchain":
        pytest.skip(right.detail)
    assert (right.status, right.form) == ("pass", "strong"), right
    assert wrong.status in ("fail", "error"), wrong


def test_tests_that_look_into_the_process_are_guarded_and_say_so() -> None:
    tests = (
        "import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n"
        "    f()\nassert out.getvalue() == 'hi\\n'\n"
    )
    jobs = [
        Job("right", "python", "def f(): print('hi')\n", tests),
        Job("wrong", "python", "def f(): print('ho')\n", tests),
        # What a candidate does cannot choose the weaker form.
        Job("asks", "python", "import sys\ndef f(): return sys.stdout\n", "assert f() == 1"),
    ]
    found = run_jobs(jobs, Limits(wall_s=10), calibrate=False)
    assert [(v.status, v.form) for v in found] == [
        ("pass", "guarded"),
        ("fail", "guarded"),
        ("fail", "strong"),
    ]


def test_helpers_of_the_prompt_are_the_suites() -> None:
    """Complete functions and classes of the prompt; never the one that is asked for."""
    prompt = (
        "class Node:\n    def __init__(self, v, next=None):\n        self.v, self.next = v, next\n\n"
        "def total(n):\n    return n.v + (total(n.next) if n.next else 0)\n\n"
        'def double(n):\n    """Doubles every value."""\n'
    )
    body = "    while n:\n        n.v *= 2\n        n = n.next\n"
    tests = "a = Node(1, Node(2))\ndouble(a)\nassert total(a) == 6 and a.next.v == 4\n"
    jobs = [
        Job("right", "python", prompt + body, tests, prompt, "double"),
        Job("stub", "python", prompt, tests, prompt, "double"),
        Job(
            "lies",
            "python",
            prompt + "    pass\ndef total(n):\n    return 6\n",
            "a = Node(1, Node(2))\ndouble(a)\nassert total(a) == 6\n",
            prompt,
            "double",
        ),
    ]
    found = run_jobs(jobs, Limits(wall_s=10), calibrate=False)
    assert [v.status for v in found] == ["pass", "fail", "fail"]
