import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codemoe.errors import UserError, WorkError
from codemoe.evaluate.codebleu import score_corpus
from codemoe.evaluate.parallel import in_processes, worker_count
from tests.evaluate.codebleu.programs import PROGRAMS

SOURCE = Path(__file__).parents[2] / "src"


def square(number: int) -> int:
    return number * number


def die(number: int) -> None:
    os._exit(9)


def fail(number: int) -> None:
    raise UserError(f"row {number}", "mend it")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order(workers: int) -> None:
    with in_processes(workers) as mapped:
        assert list(mapped(square, range(50))) == [n * n for n in range(50)]


def test_few_items_are_taken_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    with in_processes(2) as mapped:
        results = mapped(square, items())
        next(results)
        assert taken < 20


def test_an_error_comes_back_whole() -> None:
    with pytest.raises(UserError) as error, in_processes(2) as mapped:
        list(mapped(fail, [7]))
    assert (error.value.what, error.value.fix) == ("row 7", "mend it")


def test_a_killed_process_is_told() -> None:
    with pytest.raises(WorkError, match="worker process was killed"), in_processes(2) as mapped:
        list(mapped(die, [1]))


def test_number_of_workers() -> None:
    assert worker_count(3) == 3
    with pytest.raises(UserError, match="0 workers"):
        worker_count(0)


@pytest.mark.parametrize("mode", ["corrected", "compat"])
def test_any_number_of_processes_and_any_hash_seed_give_the_same_bits(mode: str) -> None:
    script = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "from dataclasses import asdict\n"
        "from codemoe.evaluate.codebleu import score_corpus\n"
        "programs = json.loads(sys.argv[2])\n"
        "languages = [name for name in programs if name != 'typescript'] * 8\n"
        "codes = [programs[name] + '\\n' * (i // 40) for i, name in enumerate(languages)]\n"
        "answers = [code.replace('low', 'x' * (i % 3 + 1)) for i, code in enumerate(codes)]\n"
        "answers[3] = ''\n"
        "mode, workers = sys.argv[3], int(sys.argv[4])\n"
        "score = score_corpus(codes, answers, languages, mode=mode, workers=workers)\n"
        "print(json.dumps(asdict(score)))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script, str(SOURCE), json.dumps(PROGRAMS), mode, workers],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, workers in (("0", "1"), ("1", "2"), ("77", "3"))
    }
    assert len(outputs) == 1
    found = json.loads(outputs.pop())
    assert 0 < found["codebleu"] < 1
    assert found["floor"] is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_a_language_alone_in_its_chunk_is_compared_with_a_row_elsewhere(workers: int) -> None:
    # 40 Python rows in two chunks, one Java row in each; rows of one problem stand together.
    languages = ["java"] + ["python"] * 39 + ["java"]
    codes = [PROGRAMS[name] + "\n" * at for at, name in enumerate(languages)]
    alone = score_corpus(codes[:40], codes[:40], languages[:40], workers=workers)
    both = score_corpus(codes, codes, languages, workers=workers)
    assert alone.floor == both.floor == pytest.approx(1.0)
    other = [*codes[:40], "class A { }"]
    assert score_corpus(other, other, languages, workers=workers).floor < 1.0  # type: ignore[operator]
