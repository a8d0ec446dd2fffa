"""Two arrays at once: what their pairs of items give, and which items they share."""

from collections.abc import Iterator

from codemoe.data.corpus.sequence_vocabulary import (
    ADJECTIVES,
    append,
    block,
    branch,
    declare,
    new_list,
    plus_one,
    statement,
)
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Param, Task
from codemoe.data.corpus.two_arrays_vocabulary import (
    AGGREGATES,
    INDEX,
    ITEM_PREDICATES,
    OPS,
    PAIR_PREDICATES,
    SETS,
    Aggregate,
    Op,
    PairPredicate,
    SetKind,
)
from codemoe.data.corpus.vocabulary import IntPredicate, c_like

FAMILY = "two_arrays"


def _pair_loop(language: str, how: Aggregate, condition: str, value: str, op: str = "") -> str:
    """The index loop of Java, C++ and JavaScript; `op` is stored as `value` where it is given."""
    lines = [] if not op else [
        f"{'const' if language == 'javascript' else 'int'} {value} = {op};"
    ]  # fmt: skip
    start, step, name = {
        "sum": (declare(language, "total", "0"), f"total += {value};", "total"),
        "count": (declare(language, "count", "0"), plus_one(language, "count"), "count"),
        "list": (new_list(language, "result"), append(language, "result", value), "result"),
        "largest": (declare(language, "best", "0"),
                    c_like("best = max(best, ", language) + f"{value});", "best"),
    }[how.key]  # fmt: skip
    kind, size = {
        "java": ("int", "Math.min(a.length, b.length)"),
        "javascript": ("let", "Math.min(a.length, b.length)"),
        "cpp": ("size_t", "min(a.size(), b.size())"),
    }[language]
    head = f"for ({kind} i = 0; i < {size}; i++)"
    lines += branch(language, condition, [step])
    return "\n".join([start, *block(language, head, lines), f"return {name};"])


def _item_bodies(how: Aggregate, op: Op, chosen: IntPredicate) -> dict[str, str]:
    """The condition is on what the pair gives."""
    loop = f"for v in {op.plural} if {chosen.code('python', 'v')}"
    bodies = {
        "python": f"{op.plural} = [{op.text('python', 'x', 'y')} for x, y in zip(a, b)]\n"
        f"return {how.python.replace('{v}', 'v').replace('{loop}', loop)}"
    }
    javascript = [
        "return a", "    .slice(0, b.length)",
        f"    .map((x, i) => {op.text('javascript', 'x', 'b[i]')})",
        f"    .filter((v) => {chosen.code('javascript', 'v')})"
        + (how.javascript if how.key == "count" else ""),
    ]  # fmt: skip
    if how.javascript and how.key != "count":
        javascript.append(f"    {how.javascript}")
    bodies["javascript"] = "\n".join(javascript) + ";"
    if how.java:
        cast = "(int) " if how.key == "count" else ""
        bodies["java"] = (
            f"return {cast}IntStream.range(0, Math.min(a.length, b.length))\n"
            f"    .map(i -> {op.text('java', 'a[i]', 'b[i]')})\n"
            f"    .filter(v -> {chosen.code('java', 'v')})\n"
            f"    {how.java};"
        )
    for language in ("java", "cpp"):
        if language not in bodies:
            text = op.text(language, "a[i]", "b[i]")
            bodies[language] = _pair_loop(
                language, how, chosen.code(language, "value"), "value", text
            )
    return bodies


def _pair_bodies(how: Aggregate, op: Op, chosen: PairPredicate) -> dict[str, str]:
    """The condition is on the pair."""
    loop = f"for x, y in zip(a, b) if {chosen.python}"
    python = how.python.replace("{v}", op.text("python", "x", "y")).replace("{loop}", loop)
    bodies = {"python": f"return {python}"}
    for language in ("java", "javascript", "cpp"):
        value = op.text(language, "a[i]", "b[i]")
        bodies[language] = _pair_loop(language, how, c_like(chosen.c_like, language), value)
    return bodies


def _params(small: bool) -> tuple[Param, Param]:
    # Products start at 0, as a negative zero would not equal zero in JavaScript's tests.
    low = 0 if small else -9
    return Param("a", "ints", low=low), Param("b", "ints", low=low)


def _pair_task(how: Aggregate, op: Op, chosen: IntPredicate | PairPredicate) -> Task:
    on_pair = isinstance(chosen, PairPredicate)

    def solve(a: list[int], b: list[int]) -> int | list[int]:
        items = []
        for x, y in zip(a, b, strict=False):
            item = op.apply(x, y)
            if chosen.holds(x, y) if isinstance(chosen, PairPredicate) else chosen.holds(item):
                items.append(item)
        return how.reduce(items)

    texts = []
    for i in range(3):
        if isinstance(chosen, PairPredicate):
            one = many = chosen.clauses[i % 2]
        else:
            one = f"that is {ADJECTIVES[chosen.key][i]}"
            many = f"that are {ADJECTIVES[chosen.key][2 * (i // 2)]}"
        title = how.titles[i].format(f"pairwise {op.nouns[1]} {many}")
        step = how.steps[i % 2].format(f"{op.nouns[0]} {one}")
        texts.append((title, (f"{op.verbs[i % 2]} {INDEX[i]}", step)))
    words = ("pair", op.plural, *chosen.words) if on_pair or len(chosen.words) > 1 else (
        *chosen.words, "pair", op.plural)  # fmt: skip
    return Task(
        family=FAMILY,
        slug=f"{how.key}.{op.key}.{chosen.key}",
        words=(how.key, *words),
        params=_params(op.key == "product"),
        returns=how.returns,
        texts=tuple(texts),
        bodies=_pair_bodies(how, op, chosen) if isinstance(chosen, PairPredicate)
        else _item_bodies(how, op, chosen),
        solve=solve,
    )  # fmt: skip


def _java_set(kind: SetKind, condition: str, ordered: bool) -> list[str]:
    if kind.key == "merged":
        lines = ["return IntStream.concat(IntStream.of(a), IntStream.of(b))",
                 f"    .filter(x -> {condition})", "    .distinct()"]  # fmt: skip
        lines += ["    .sorted()"] * ordered
        return [*lines, "    .boxed()", "    .collect(Collectors.toList());"]
    if kind.key == "unshared":
        left, right = (f"IntStream.of({name}).noneMatch(y -> y == x)" for name in "ab")
        lines = ["return IntStream.concat(",
                 f"        IntStream.of(a).filter(x -> {right}),",
                 f"        IntStream.of(b).filter(x -> {left}))",
                 f"    .filter(x -> {condition})", "    .distinct()"]  # fmt: skip
        lines += ["    .sorted()"] * ordered
        return [*lines, "    .boxed()", "    .collect(Collectors.toList());"]
    made = "TreeSet" if ordered else "LinkedHashSet"
    inner = branch("java", f"{kind.java} && {condition}", ["result.add(x);"])
    return [
        "Set<Integer> others = new HashSet<>();",
        *block("java", "for (int y : b)", ["others.add(y);"]),
        f"Set<Integer> result = new {made}<>();",
        *block("java", "for (int x : a)", inner),
        "return new ArrayList<>(result);",
    ]


def _cpp_set(kind: SetKind, condition: str, ordered: bool) -> list[str]:
    lines = []
    if kind.key == "unshared":
        lines = ["set<int> inFirst(a.begin(), a.end());", "set<int> inSecond(b.begin(), b.end());"]
    elif kind.source == "a":
        lines = ["set<int> others(b.begin(), b.end());"]
    if kind.source == "both":
        made = "set<int>" if ordered else "vector<int>"
        where = "" if ordered else "all.end(), "
        lines += [f"{made} all(a.begin(), a.end());", f"all.insert({where}b.begin(), b.end());"]
    full = f"{kind.cpp} && {condition}" if kind.cpp else condition
    items = "all" if kind.source == "both" else "a"
    if ordered and kind.source == "a":
        inner = branch("cpp", full, ["result.insert(x);"])
        return [*lines, "set<int> result;", *block("cpp", f"for (int x : {items})", inner),
                "return vector<int>(result.begin(), result.end());"]  # fmt: skip
    if not ordered:
        lines.append("set<int> seen;")
        full = f"{full} && seen.insert(x).second"
    inner = branch("cpp", full, ["result.push_back(x);"])
    return [*lines, "vector<int> result;", *block("cpp", f"for (int x : {items})", inner),
            "return result;"]  # fmt: skip


def _set_bodies(kind: SetKind, chosen: IntPredicate, ordered: bool) -> dict[str, str]:
    lines: dict[str, list[str]] = {language: [] for language in CORPUS_LANGUAGES}
    code = chosen.code("python", "x")
    if ordered:
        lines["python"] = [f"return sorted(x for x in {kind.python_set} if {code})"]
    else:
        full = f"{kind.python} and {code}" if kind.python else code
        items = "a" if kind.source == "a" else "a + b"
        lines["python"] = ["others = set(b)"] if kind.source == "a" else []
        lines["python"] += [f"return list(dict.fromkeys(x for x in {items} if {full}))"]
    code = chosen.code("javascript", "x")
    full = f"{kind.javascript} && {code}" if kind.javascript else code
    items = "a" if kind.source == "a" else "[...a, ...b]"
    end = ".sort((x, y) => x - y)" if ordered else ""
    lines["javascript"] = ["const others = new Set(b);"] if kind.source == "a" else []
    lines["javascript"] += [
        f"const items = [...new Set({items})];",
        statement("javascript", f"return items.filter((x) => {full}){end}"),
    ]
    lines["java"] = _java_set(kind, chosen.code("java", "x"), ordered)
    lines["cpp"] = _cpp_set(kind, chosen.code("cpp", "x"), ordered)
    return {language: "\n".join(text) for language, text in lines.items()}


def _set_task(kind: SetKind, chosen: IntPredicate, ordered: bool) -> Task:
    def solve(a: list[int], b: list[int]) -> list[int]:
        result: list[int] = []
        for item in a + b:
            if kind.holds(item in a, item in b) and chosen.holds(item) and item not in result:
                result.append(item)
        return sorted(result) if ordered else result

    orders = (
        ("in ascending order", "from small to large", "sorted")
        if ordered
        else ("in order of appearance", "as first seen", "in the order first seen")
    )
    texts = []
    for i in range(3):
        adjective = ADJECTIVES[chosen.key][2 * (i // 2)]
        title = f"{kind.titles[i % 2]} that are {adjective} {orders[i]}"
        step = f"Keep each one that is {ADJECTIVES[chosen.key][i]} only once"
        texts.append((title, (kind.steps[i % 2], step)))
    tail = ("sorted",) if ordered else ("first", "seen")
    return Task(
        family=FAMILY,
        slug=f"{kind.key}.{chosen.key}.{tail[0]}",
        words=(*kind.words, *chosen.words, *tail),
        params=_params(False),
        returns="intlist",
        texts=tuple(texts),
        bodies=_set_bodies(kind, chosen, ordered),
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for how in AGGREGATES:
        for op in OPS:
            for chosen in ITEM_PREDICATES:
                yield _pair_task(how, op, chosen)
            for pair in PAIR_PREDICATES:
                # How many pairs there are does not depend on what they give, and the distance is
                # a difference where the condition says which item is larger.
                known = op.key == "distance" and "larger" in pair.key
                if how.key != "count" and not known:
                    yield _pair_task(how, op, pair)
    for kind in SETS:
        for chosen in ITEM_PREDICATES:
            for ordered in (False, True):
                yield _set_task(kind, chosen, ordered)
