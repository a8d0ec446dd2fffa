"""Test inputs from each parameter's domain, and the fingerprint that tells semantics apart."""

import hashlib
import random
from typing import Any

from codemoe.data.corpus.task import Param, Task

NUM_CASES = 8
_INT32 = 2**31


def draw(param: Param, rng: random.Random, smallest: bool = False) -> Any:
    """One value of the parameter's domain; the smallest one where asked."""
    size = param.min_size if smallest else rng.randint(param.min_size, param.max_size)
    if param.type == "int":
        return param.low if smallest else rng.randint(param.low, param.high)
    if param.type == "bool":
        return rng.random() < 0.5
    if param.type == "str":
        return "".join(rng.choice(param.alphabet) for _ in range(size))
    if param.type == "ints":
        # Repeats matter for counting and searching, so some arrays come from a narrow range.
        high = min(param.high, param.low + 4) if rng.random() < 0.3 else param.high
        values = [rng.randint(param.low, high) for _ in range(size)]
        return sorted(values) if param.ascending else values
    if param.type == "strs":
        count = 0 if smallest else rng.randint(0, 5)
        return [
            "".join(
                rng.choice(param.alphabet)
                for _ in range(rng.randint(max(1, param.min_size), param.max_size))
            )
            for _ in range(count)
        ]
    rows = max(1, size)
    columns = rows if param.square else max(1, rng.randint(param.min_size, param.max_size))
    return [[rng.randint(param.low, param.high) for _ in range(columns)] for _ in range(rows)]


def _fits(value: Any) -> bool:
    """Whether a result is the same number in every language (32-bit integers)."""
    if isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return -_INT32 <= value < _INT32
    return all(_fits(item) for item in value)


def cases_of(task: Task) -> list[tuple[tuple, Any]]:
    """`NUM_CASES` (arguments, expected) pairs: the smallest input first, results varied."""
    rng = random.Random(f"cases:{task.group}")
    cases: list[tuple[tuple, Any]] = []
    seen_arguments: set[str] = set()
    seen_results: set[str] = set()
    for attempt in range(400):
        arguments = tuple(draw(p, rng, smallest=attempt == 0) for p in task.params)
        key = repr(arguments)
        if key in seen_arguments:
            continue
        expected = task.solve(*arguments)
        # Prefer inputs with new results; after many attempts any valid input will do.
        if not _fits(expected) or (repr(expected) in seen_results and attempt < 200):
            continue
        seen_arguments.add(key)
        seen_results.add(repr(expected))
        cases.append((arguments, expected))
        if len(cases) == NUM_CASES:
            break
    return cases


def _answers(task: Task, inputs: list[tuple]) -> list[str]:
    results = []
    for arguments in inputs:
        try:
            results.append(repr(task.solve(*arguments)))
        except Exception as error:  # out of its domain a task may answer anyhow
            results.append(type(error).__name__)
    return results


def fingerprint(task: Task, num_probes: int = 40) -> str:
    """Equal for tasks that take the same types and answer alike on common probes.

    Probes depend on the parameter types alone, so that tasks of different families meet on them;
    tasks that meet may still differ on their own domains: see `same_semantics`.
    """
    types = [p.type for p in task.params]
    rng = random.Random(f"probes:{types}")
    domains = [Param("probe", p.type, low=1, high=30, min_size=1, max_size=6) for p in task.params]
    inputs = [tuple(draw(p, rng) for p in domains) for _ in range(num_probes)]
    shape = repr((types, task.returns, _answers(task, inputs)))
    return hashlib.sha256(shape.encode()).hexdigest()


def same_semantics(a: Task, b: Task, num_probes: int = 120) -> bool:
    """Whether two tasks of one fingerprint also answer alike on the domains of both."""
    rng = random.Random("same")
    inputs = [
        tuple(draw(p, rng) for p in task.params) for task in (a, b) for _ in range(num_probes)
    ]
    return _answers(a, inputs) == _answers(b, inputs)
