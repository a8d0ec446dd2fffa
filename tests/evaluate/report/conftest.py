"""Two made-up runs and their reports, each made once."""

from pathlib import Path
from typing import Any

import pytest

from codemoe.evaluate.report import make_report
from tests.evaluate.report.synthetic import LANGUAGES, Plan, write_run

THRESHOLDS = {
    "retention": 0.98,
    "routing_accuracy": 0.995,
    "wrong_language": 0.0,
    "base_ratio": 2.0,
}


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model, four languages, tests executed, nothing misrouted."""
    return write_run(tmp_path_factory.mktemp("full"), Plan(n=24, suites={"HumanEval": 0.3}))


@pytest.fixture(scope="session")
def full_report(full_run: Path) -> tuple[Path, dict[str, Any]]:
    out = full_run / "report"
    summary = make_report(full_run, out, thresholds=THRESHOLDS, name="demo", command="codemoe demo")
    return out, summary


@pytest.fixture(scope="session")
def partial_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Missing models, a language without expert, tests not run, Java sent to JavaScript."""
    plan = Plan(
        languages=(*LANGUAGES, "rust"),
        models=("base", "expert", "moe-token", "moe-sequence", "moe-oracle"),
        execute=False,
        misrouted=6,
        n=12,
    )
    return write_run(tmp_path_factory.mktemp("partial"), plan)


@pytest.fixture
def fast_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which one test looks at and the others need not wait for."""
    monkeypatch.setattr("codemoe.evaluate.report.build.png", lambda figure, theme: b"drawn")
