"""scripts/update_readme.py: real figures, only between the markers, the same when called again.

Run with: pytest tests/test_update_readme.py
"""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from codemoe.artifacts import run_stage
from codemoe.errors import UserError
from codemoe.evaluate.report.read import read_evaluation
from codemoe.evaluate.report.summary import build_summary
from tests.evaluate.report.synthetic import Plan, write_run

ROOT = Path(__file__).resolve().parent.parent
README = "# x\n\n<!-- demo-output:begin -->\n```text\n```\n<!-- demo-output:end -->\n\ntail\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update", ROOT / "scripts/update_readme.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with a summary; five of twelve Java prompts went to JavaScript."""
    run = write_run(tmp_path_factory.mktemp("runs") / "demo", Plan(n=12, misrouted=5))
    summary = build_summary(read_evaluation(run))
    check = {"name": "retention", "language": "java", "found": 0.5, "required": 0.98}
    summary["checks"] = [{**check, "passed": False, "cause": ""}]
    summary["seconds"] = 541.2

    def work(out: Path) -> None:
        (out / "summary.json").write_text(json.dumps(summary))

    run_stage(run / "report", "report", {}, {}, work)
    return run


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(README)
    return path


def update(script: ModuleType, run_dir: Path, readme: Path, *more: str) -> str:
    script.main([str(run_dir), "--readme", str(readme), "--commit", "abc1234", *more])
    return readme.read_text()


def test_figures_command_commit_and_machine(
    script: ModuleType, run_dir: Path, readme: Path
) -> None:
    text = update(script, run_dir, readme)
    summary = json.loads((run_dir / "report" / "summary.json").read_text())
    assert text.startswith("# x\n\n<!-- demo-output:begin -->\n```text\n")
    assert text.endswith("\n<!-- demo-output:end -->\n\ntail\n")
    mixture = summary["models"]["moe-sequence"]
    for language in ("python", "java", "javascript", "cpp", "all"):
        scores = mixture[language]
        assert f"{scores['codebleu']:.3f} ({scores['pass_at_1']:.2f})" in text
    ratio = mixture["cpp"]["codebleu"] / summary["models"]["base"]["cpp"]["codebleu"]
    assert f"C++ {ratio:.1f}x" in text
    assert f"Java {summary['retention']['java']:.3f}" in text
    assert "sent wrong: 5 java to javascript" in text
    assert "Thresholds of the recipe: missed: retention." in text
    assert "From `make demo` at commit `abc1234`: 9 min 1 s for all stages on " in text
    assert "CPU cores" in text
    assert "report: runs/demo/report/index.html" in text
    assert str(run_dir.parent) not in text


def test_a_second_call_changes_nothing(
    script: ModuleType, run_dir: Path, readme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = update(script, run_dir, readme)
    assert update(script, run_dir, readme) == first
    assert "already up to date" in capsys.readouterr().out


def test_another_recipe_and_command(script: ModuleType, run_dir: Path, readme: Path) -> None:
    recipe = str(ROOT / "recipes/demo-fast.yaml")
    assert "From `make demo-fast` at" in update(script, run_dir, readme, "--recipe", recipe)
    assert "From `x y` at" in update(script, run_dir, readme, "--command", "x y")


def test_what_was_not_measured_is_left_out(script: ModuleType, run_dir: Path) -> None:
    summary = json.loads((run_dir / "report" / "summary.json").read_text())
    summary["models"] = {"base": summary["models"]["base"]}
    summary |= {"retention": {}, "checks": [], "routing": {"accuracy": None, "confusion": None}}
    assert script.key_figures(summary) == []


@pytest.mark.parametrize(
    "text",
    [
        "no markers",
        README.replace("<!-- demo-output:end -->", ""),
        README + README,
        "<!-- demo-output:end -->\n<!-- demo-output:begin -->",
    ],
)
def test_a_readme_without_its_markers_is_refused(
    script: ModuleType, run_dir: Path, readme: Path, text: str
) -> None:
    readme.write_text(text)
    with pytest.raises(UserError, match="demo-output:begin"):
        update(script, run_dir, readme)
    assert readme.read_text() == text


def test_an_unfinished_run_is_refused(script: ModuleType, readme: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run"):
        update(script, tmp_path / "nothing", readme)
