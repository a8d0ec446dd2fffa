"""Small state machines: a number that shrinks, a walk of commands, a balance with a rule.

Each asks one of four questions about the states it goes through: the final one, the highest one,
how often something happens, and the list of all of them.
"""

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
from codemoe.data.corpus.simulation_vocabulary import (
    BALANCE_HEADS,
    BALANCE_TITLES,
    BORDERS,
    CHANGES,
    DOWN,
    EXACT,
    MOVES,
    OTHER,
    QUESTIONS,
    RULES,
    SHRINK_TITLES,
    WALK_HEADS,
    WALK_TITLES,
    WHEN,
    WHEN_WORDS,
    Change,
    Moves,
    Rule,
    Step,
)
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Param, Task
from codemoe.data.corpus.vocabulary import IntPredicate, c_like

FAMILY = "simulation"


def _program(
    language: str,
    question: str,
    state: str,
    start: str,
    head: str,
    step: list[str],
    counting: list[str],
) -> str:
    """The loop `head` around `step`, with what `question` needs around both.

    `start` is the state's first value, empty where the state is a parameter; `counting` are the
    lines that count, empty where `step` itself counts.
    """
    lines = [declare(language, state, start)] if start else []
    inside = list(step)
    result = state
    if question == "highest":
        result = "highest"
        lines.append(declare(language, result, start or state))
        inside.append(statement(language, c_like(f"highest = max(highest, {state})", language)))
    elif question == "count":
        result = "count"
        lines.append(declare(language, result, "0"))
        inside += counting
    elif question == "list":
        result = "states"
        lines.append(new_list(language, result))
        inside.append(append(language, result, state))
    lines += block(language, head, inside)
    return "\n".join([*lines, statement(language, f"return {result}")])


def _answer(question: str, start: int, states: list[int], count: int) -> int | list[int]:
    """What the oracle says about the `states` after each step."""
    if question == "list":
        return states
    if question == "count":
        return count
    return max([start, *states]) if question == "highest" else [start, *states][-1]


def _returns(question: str) -> str:
    return "intlist" if question == "list" else "int"


# --- A number that shrinks: while n > limit, one of two steps -------------------------------------


# Smallest limit: halving and adding 3 in turn comes down to 3 and no further.
_LOWEST = 4


def _states(n: int, limit: int, when: IntPredicate, down: Step, other: Step) -> list[int] | None:
    """The values after each step, None where they do not come to the limit."""
    states = []
    while n > limit:
        n = down.apply(n) if when.holds(n) else other.apply(n)
        states.append(n)
        if len(states) > 300:
            return None
    return states


def _ends(when: IntPredicate, down: Step, other: Step) -> bool:
    return all(_states(n, _LOWEST, when, down, other) is not None for n in range(1, 100))


def _shrink_step(
    language: str, question: str, when: IntPredicate, down: Step, other: Step
) -> list[str]:
    """If and else in Python and Java, a conditional expression where that is as usual."""
    condition = when.code(language, "n")
    exact = (when.key, down.key) in EXACT
    if language == "java" or (language == "python" and question in ("final", "count")):
        return branch(language, condition, [down.assign(language)], [other.assign(language)])
    then, rest = down.new_value(language, exact), other.new_value(language)
    if language == "python":
        return [f"n = {then} if {condition} else {rest}"]
    return [f"n = {condition} ? {then} : {rest};"]


def _shrink_task(question: str, when: IntPredicate, down: Step, other: Step) -> Task:
    def solve(n: int, limit: int) -> int | list[int]:
        states = _states(n, limit, when, down, other)
        assert states is not None
        return _answer(question, n, states, len(states))

    bodies = {}
    for language in CORPUS_LANGUAGES:
        head = "while n > limit" if language == "python" else "while (n > limit)"
        step = _shrink_step(language, question, when, down, other)
        counting = [plus_one(language, "count")]
        bodies[language] = _program(language, question, "n", "", head, step, counting)
    texts = []
    for i in range(3):
        adjective = ADJECTIVES[when.key][i]
        first = f"While n is above limit {down.verbs[i % 2]} if it is {adjective}"
        texts.append((SHRINK_TITLES[question][i], (first, f"Otherwise {other.verbs[i % 2]}")))
    return Task(
        family=FAMILY,
        slug=f"shrink.{question}.{when.key}.{down.key}.{other.key}",
        words=(question, *WHEN_WORDS[when.key], *down.words, "else", *other.words),
        params=(Param("n", "int", low=1, high=60), Param("limit", "int", low=_LOWEST, high=12)),
        returns=_returns(question),
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
    )


# --- A walk: commands move a position that starts at 0 --------------------------------------------


def _moved(border: str, position: int, change: int) -> int:
    position += change
    if border == "floor":
        return max(0, position)
    if border == "cap":
        return min(2, position)
    return position % 5 if border == "circle" else position


def _move(language: str, border: str, change: int) -> str:
    """The statement for one command."""
    sign, size = ("+", change) if change > 0 else ("-", -change)
    if border == "circle":
        return statement(language, f"position = (position + {change % 5}) % 5")
    if border == "floor" and change < 0:
        text = c_like(f"position = max(0, position - {size})", language)
    elif border == "cap" and change > 0:
        text = c_like(f"position = min(2, position + {size})", language)
    elif size == 1 and language != "python":
        text = f"position{sign}{sign}"
    else:
        text = f"position {sign}= {size}"
    return statement(language, text)


def _walk_step(language: str, moves: Moves, border: str) -> list[str]:
    quote = "'" if language in ("java", "cpp") else '"'
    condition = f"command == {quote}{moves.letters[0]}{quote}"
    if border == "free":
        if language == "python":
            return [f"position += {moves.up} if {condition} else -{moves.down}"]
        if language in ("javascript", "cpp"):
            return [f"position += {c_like(condition, language)} ? {moves.up} : -{moves.down};"]
    up = _move(language, border, moves.up)
    down = _move(language, border, -moves.down)
    return branch(language, c_like(condition, language), [up], [down])


def _walk_task(question: str, moves: Moves, border: str) -> Task:
    def solve(commands: str) -> int | list[int]:
        states: list[int] = []
        for command in commands:
            change = moves.up if command == moves.letters[0] else -moves.down
            states.append(_moved(border, states[-1] if states else 0, change))
        return _answer(question, 0, states, states.count(0))

    bodies = {}
    for language in CORPUS_LANGUAGES:
        at_zero = c_like("position == 0", language)
        bodies[language] = _program(
            language, question, "position", "0", WALK_HEADS[language],
            _walk_step(language, moves, border),
            branch(language, at_zero, [plus_one(language, "count")]),
        )  # fmt: skip
    up, down = moves.letters[0], moves.letters[1]
    tail, notes = BORDERS[border]
    steps = (f"{up} adds {moves.up} to the position and {down} subtracts {moves.down}",
             f"Add {moves.up} for {up} and subtract {moves.down} for {down}")  # fmt: skip
    texts = [(WALK_TITLES[question][i], (steps[i % 2], notes[(i + 1) % 2])) for i in range(3)]
    names = (f"{up.lower()}{moves.up}", f"{down.lower()}{moves.down}")
    return Task(
        family=FAMILY,
        slug=f"walk.{question}.{moves.letters}{moves.up}{moves.down}.{border}",
        words=(question, "walk", *names, *tail),
        params=(Param("commands", "str", alphabet=moves.letters, max_size=9),),
        returns=_returns(question),
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
    )


# --- A balance: changes are added to it and a rule corrects it ------------------------------------


def _balance_step(language: str, question: str, change: Change, rule: Rule) -> list[str]:
    add = statement(language, f"balance += {change.code}")
    count = [plus_one(language, "count")] if question == "count" else []
    if rule.value == "skip":
        new = f"balance + {change.code}"
        if count:
            return branch(language, f"{new} > 20", count, [add])
        return branch(language, f"{new} <= 20", [add])
    if rule.short and not count:
        text = c_like(rule.short.replace("{b}", f"balance + {change.code}"), language)
        return [statement(language, f"balance = {text}")]
    corrected = statement(language, f"balance = {rule.value}")
    return [add, *branch(language, rule.condition, [corrected, *count])]


def _balance_task(question: str, change: Change, rule: Rule) -> Task:
    def solve(changes: list[int]) -> int | list[int]:
        balance, states, count = 0, [], 0
        for item in changes:
            new = balance + change.apply(item)
            if rule.breaks(new):
                count += 1
                new = balance if rule.value == "skip" else int(rule.value)
            balance = new
            states.append(balance)
        return _answer(question, 0, states, count)

    bodies = {
        language: _program(
            language, question, "balance", "0", BALANCE_HEADS[language],
            _balance_step(language, question, change, rule), [],
        )
        for language in CORPUS_LANGUAGES
    }  # fmt: skip
    texts = [
        (BALANCE_TITLES[question][i],
         (f"Add {change.phrases[i % 2]} to the balance", rule.notes[(i // 2) % 2]))
        for i in range(3)
    ]  # fmt: skip
    return Task(
        family=FAMILY,
        slug=f"balance.{question}.{change.key}.{rule.key}",
        words=(question, "balance", *change.words, *rule.words),
        params=(Param("changes", "ints", low=-12, high=14, max_size=8),),
        returns=_returns(question),
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for question in QUESTIONS:
        for when in WHEN:
            for down in DOWN:
                for other in OTHER:
                    # Without a step up, the highest value is the first one.
                    grows = other.key in ("plus1", "plus3")
                    if _ends(when, down, other) and (grows or question != "highest"):
                        yield _shrink_task(question, when, down, other)
        for moves in MOVES:
            for border in BORDERS:
                yield _walk_task(question, moves, border)
        for change in CHANGES:
            for rule in RULES:
                yield _balance_task(question, change, rule)
