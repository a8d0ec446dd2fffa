from pathlib import Path

import pytest

from codemoe.evaluate.report.read import Evaluation, read_evaluation
from codemoe.evaluate.report.words import (
    duration,
    enabling,
    headline,
    interval,
    lead,
    percent,
    quantity,
    times,
)
from tests.evaluate.report.synthetic import Plan, write_run


def _evaluation(folder: Path, plan: Plan) -> Evaluation:
    return read_evaluation(write_run(folder, plan))


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "100 %"),
        (0.9996, "99.96 %"),
        (0.99999, "99.999 %"),
        (0.0004, "0.04 %"),
        (0.0, "0 %"),
        (0.4231, "42.3 %"),
    ],
)
def test_only_all_is_called_all(value: float, shown: str) -> None:
    assert _plain(percent(value)) == shown


def test_formats() -> None:
    assert times(2.94) == "2.9\N{MULTIPLICATION SIGN}"
    assert times(1.03) == "1.03\N{MULTIPLICATION SIGN}"
    assert interval((0.1, 0.25)) == "0.100\N{EN DASH}0.250"
    assert interval((-0.1, 0.25), 1, 100) == "\N{MINUS SIGN}10.0 to 25.0"
    assert interval(None) == ""
    assert _plain(quantity(2_260_000)) == "2.26 M"
    assert _plain(quantity(24.2e9)) == "24.2 G"
    assert quantity(640) == "640"
    assert [_plain(duration(s)) for s in (0.6, 59.7, 436, 7260)] == [
        "0.6 s",
        "1 min 00 s",
        "7 min 16 s",
        "2 h 01 min",
    ]


def test_headline_of_a_lossless_mixture(full_run: Path) -> None:
    evaluation = read_evaluation(full_run)
    gain = (
        evaluation.models["moe-sequence"].total.codebleu / evaluation.models["base"].total.codebleu
    )
    assert headline(evaluation).startswith("The mixture keeps all of its experts")
    assert headline(evaluation).endswith(f"and beats the base {gain:.1f}\N{MULTIPLICATION SIGN}")


def test_headline_says_what_is_lost(tmp_path: Path) -> None:
    models = ("base", "expert", "moe-sequence")
    poor = {"moe-sequence": (0.0, 0.36, 0.1, 900.0)}
    found = headline(_evaluation(tmp_path, Plan(models=models, n=20, quality=poor)))
    assert "keeps only" in found
    assert "but beats the base" in found


@pytest.mark.parametrize(
    ("mean", "said"),
    [(0.15, "scores below its base"), (0.29, "is not shown to beat its base")],
)
def test_headline_does_not_claim_a_win(tmp_path: Path, mean: float, said: str) -> None:
    quality = {"moe-sequence": (0.0, mean, 0.0, 900.0)}
    plan = Plan(models=("base", "expert", "moe-sequence"), n=20, quality=quality)
    assert said in headline(_evaluation(tmp_path, plan))


def test_headline_without_a_mixture(tmp_path: Path) -> None:
    evaluation = _evaluation(tmp_path / "a", Plan(models=("base", "expert"), n=4))
    assert headline(evaluation).startswith("No mixture was evaluated; its experts beat the base")
    evaluation = _evaluation(tmp_path / "b", Plan(models=("moe-token",), n=4))
    assert headline(evaluation) == "The mixture was not evaluated with sequence routing"
    assert headline(_evaluation(tmp_path / "c", Plan(models=("base",), n=4))) == (
        "No mixture was evaluated"
    )


def test_lead_names_floor_empty_answers_rival_and_tests(full_run: Path, partial_run: Path) -> None:
    said = " ".join(lead(read_evaluation(full_run)))
    assert "96 held-out tasks in Python, Java, JavaScript and C++" in said
    assert "0.270 against other tasks (the floor); none of them is empty" in said
    assert "pass their tests" in said
    assert "best alternative, one model, all languages" in said
    assert "the mixture is not shown to differ" in said or "the mixture is ahead" in said
    said = " ".join(lead(read_evaluation(partial_run)))
    assert "The tests were not run, so pass@1 is not known." in said
    assert "on their 48 tasks" in said


def test_a_base_at_its_floor_is_called_that(tmp_path: Path) -> None:
    low = _evaluation(tmp_path / "a", Plan(models=("base",), n=10))
    assert "not shown to be above its own floor" in " ".join(lead(low))
    quality = {"base": (0.5, 0.8, 0.0, 900.0)}
    high = _evaluation(tmp_path / "b", Plan(models=("base",), n=10, quality=quality))
    assert "floor." not in " ".join(lead(high))


def test_what_enables_pass_at_1() -> None:
    assert enabling("sudo apt-get install bubblewrap")[0] == "sudo apt-get install bubblewrap"
    assert enabling("eval.execute=auto") == ["codemoe eval RECIPE eval.execute=auto --force"]
    assert enabling("") == []
