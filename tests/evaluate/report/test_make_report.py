import csv
import json
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from codemoe.errors import UserError
from codemoe.evaluate.report import make_report
from codemoe.evaluate.report.figures import DARK, LIGHT
from tests.evaluate.report.conftest import THRESHOLDS
from tests.evaluate.report.synthetic import LANGUAGES, MODELS, Plan, write_run

VOID = {"meta", "img", "source", "link", "br", "hr", "input"}


class _Page(HTMLParser):
    """Collects elements and text; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _page(out: Path) -> _Page:
    return _Page((out / "index.html").read_text(encoding="utf-8"))


def _make(run_dir: Path, out: Path, **thresholds: float | None) -> dict[str, Any]:
    return make_report(
        run_dir, out, thresholds=thresholds, name="run <1>", command="codemoe run a.yaml"
    )


def test_summary_has_the_promised_keys(full_report: tuple[Path, dict[str, Any]]) -> None:
    out, summary = full_report
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary.keys() == {
        "split",
        "models",
        "retention",
        "routing",
        "flops_per_token",
        "answers",
        "suites",
        "cost",
        "seconds",
        "intervals",
        "checks",
        "chain_breaks",
    }
    assert list(summary["models"]) == list(MODELS)
    for table in summary["models"].values():
        assert list(table) == [*LANGUAGES, "all"]
        for scores in table.values():
            assert scores.keys() == {"codebleu", "pass_at_1", "exact", "wrong_language"}
    assert list(summary["retention"]) == [*LANGUAGES, "all"]
    assert summary["routing"].keys() == {"accuracy", "confusion"}
    assert summary["routing"]["confusion"]["java"] == {
        "python": 0,
        "java": 24,
        "javascript": 0,
        "cpp": 0,
    }
    for cost in summary["cost"].values():
        assert cost.keys() == {
            "active_parameters",
            "total_parameters",
            "tokens_per_s",
            "peak_memory_mb",
        }
    # data, base, moe, router, merged/ties, five trainings and eight evaluations of the fixture
    assert summary["seconds"] == pytest.approx(14.1 + 48 + 51 + 54 + 57 + 60 + 8 * 21.5)
    assert len(summary["checks"]) == 13
    assert all(check["passed"] for check in summary["checks"])


def test_retention_is_the_ratio_of_the_measured_means(
    partial_run: Path, tmp_path: Path, fast_figures: None
) -> None:
    summary = _make(partial_run, tmp_path)
    models = summary["models"]
    for language in LANGUAGES:
        expected = (
            models["moe-sequence"][language]["codebleu"] / models["expert"][language]["codebleu"]
        )
        assert summary["retention"][language] == pytest.approx(expected)
        low, high = summary["intervals"]["retention"][language]
        assert low <= summary["retention"][language] <= high
    assert "rust" not in summary["retention"]
    shares = [models["moe-sequence"][lang]["codebleu"] for lang in LANGUAGES]
    assert summary["retention"]["all"] == pytest.approx(
        np.mean(shares) / models["expert"]["all"]["codebleu"]
    )


def test_the_page_asks_nobody_for_anything(full_report: tuple[Path, dict[str, Any]]) -> None:
    page = _page(full_report[0])
    for _, attributes in page.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), value
    assert page.all("link") == []
    assert page.all("iframe") == []
    assert all("src" not in script for script in page.all("script"))
    html = (full_report[0] / "index.html").read_text()
    assert "url(" not in html
    assert "@import" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_every_figure_is_there_in_both_appearances(
    full_report: tuple[Path, dict[str, Any]],
) -> None:
    out, _ = full_report
    names = sorted(path.stem for path in (out / "figures").glob("*.csv"))
    assert names == [
        "confusion",
        "cost-parameters",
        "cost-speed",
        "distribution-experts",
        "distribution-mixture",
        "gate-accuracy",
        "models",
        "outcomes",
        "retention",
        "token-load",
        "training",
        "wrong-language",
    ]
    for name in names:
        light = Image.open(out / "figures" / f"{name}.png").convert("RGB")
        dark = Image.open(out / "figures" / f"{name}-dark.png").convert("RGB")
        assert light.size == dark.size
        assert light.width == 880
        assert light.getpixel((1, 1)) == tuple(bytes.fromhex(LIGHT.paper[1:]))
        assert dark.getpixel((1, 1)) == tuple(bytes.fromhex(DARK.paper[1:]))
        assert len(set(light.resize((88, 60)).getdata())) > 8, f"{name} is empty"
        rows = list(csv.reader((out / "figures" / f"{name}.csv").open()))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    page = _page(out)
    assert len(page.all("img")) == len(page.all("source")) == len(names)
    assert all(image["alt"] for image in page.all("img"))
    assert {source["media"] for source in page.all("source")} == {
        "screen and (prefers-color-scheme: dark)"
    }


def test_the_page_and_its_figures_share_their_colours() -> None:
    import codemoe.evaluate.report as package

    css = (Path(package.__file__).parent / "templates" / "report.css").read_text()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)", 1)
    for theme, style in ((LIGHT, light), (DARK, dark)):
        for name in ("card", "ink", "muted", "rule", "accent", "good", "bad"):
            colour = theme.paper if name == "card" else getattr(theme, name)
            assert f"--{name}: {colour};" in style


def test_data_of_a_figure_is_the_data_of_the_run(
    full_run: Path, full_report: tuple[Path, dict[str, Any]]
) -> None:
    out, summary = full_report
    rows = list(csv.DictReader((out / "figures" / "distribution-mixture.csv").open()))
    own = [float(r["codebleu"]) for r in rows if (r["model"], r["language"]) == ("base", "cpp")]
    metrics = json.loads((full_run / "eval/base/test/metrics.json").read_text())
    assert own == metrics["scores"]["cpp"]
    rows = list(csv.DictReader((out / "figures" / "models.csv").open()))
    assert {row["model"] for row in rows} == set(MODELS)
    for row in rows:
        assert float(row["codebleu"]) == summary["models"][row["model"]]["all"]["codebleu"]


def test_tables_have_the_papers_shapes(full_report: tuple[Path, dict[str, Any]]) -> None:
    out, summary = full_report
    text = (out / "tables.md").read_text(encoding="utf-8")
    assert text.startswith("# The mixture keeps all of its experts")
    assert "`codemoe demo`" in text
    sections = dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    first = sections["Base and fine-tuned expert, language by language"]
    rows = [line.split("|")[1:-1] for line in first.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0]] == [
        "Language",
        "Tasks",
        "Base",
        "Expert",
        "Gain",
        "Exact",
        "pass@1",
    ]
    assert [row[0].strip() for row in rows[2:]] == ["Python", "Java", "JavaScript", "C++", "All"]
    for row, language in zip(rows[2:], [*LANGUAGES, "all"], strict=True):
        assert f"{summary['models']['base'][language]['codebleu']:.3f} (" in row[2]
        assert f"**{summary['models']['expert'][language]['codebleu']:.3f}**" in row[3]
    second = sections["Base and mixture of experts"]
    assert f"**{summary['models']['moe-sequence']['all']['codebleu']:.3f}**" in second
    models = sections["Every compared model"]
    assert all(f"({name})" in models for name in MODELS)
    assert "Empty | Floor |" in models
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_the_verdict_is_on_the_page(full_report: tuple[Path, dict[str, Any]]) -> None:
    page = _page(full_report[0])
    assert "All 13 checks passed" in re.sub(r"\s+", " ", page.text)
    cells = [a for a in page.all("td") if (a.get("class") or "") == "yes"]
    assert len(cells) == 13
    # What people wrote is shown, not obeyed.
    assert "<b>Return</b> the total" in page.text
    assert "not run" not in page.text


def test_missing_models_and_a_language_without_expert(
    partial_run: Path, tmp_path: Path, fast_figures: None
) -> None:
    summary = _make(partial_run, tmp_path, **THRESHOLDS)
    text = re.sub(r"\s+", " ", _page(tmp_path).text)
    failed = [check for check in summary["checks"] if not check["passed"]]
    assert f"{len(failed)} of {len(summary['checks'])} checks failed" in text
    assert "6 of 12 Java prompts went to the JavaScript expert" in text
    assert "run <1>" in text
    assert "no own expert" in text
    assert "Dense merge" not in text
    assert "Own expert: over its 48 of 60 tasks." in text
    assert "not run" in text
    assert "pass@1 was not run: bwrap not found." in text
    assert "sudo apt-get install bubblewrap codemoe run RECIPE" in text
    assert summary["models"]["base"]["all"]["pass_at_1"] is None
    tables = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "pass@1 was not run (bwrap not found)" in tables
    assert "`sudo apt-get install bubblewrap`" in tables
    assert not (tmp_path / "figures" / "outcomes.png").exists()


@pytest.mark.parametrize(
    "models", [("base",), ("moe-token",), ("moe-sequence",), ("base", "expert")]
)
def test_whatever_was_evaluated_makes_a_report(
    tmp_path: Path, models: tuple[str, ...], fast_figures: None
) -> None:
    run_dir = write_run(tmp_path / "run", Plan(models=models, n=1, experts=("a", "b", "c", "d")))
    summary = _make(run_dir, tmp_path / "out", retention=0.98)
    assert list(summary["models"]) == list(models)
    (check,) = summary["checks"]
    assert not check["passed"]
    assert "not measured" in _page(tmp_path / "out").text


def test_without_answers_the_report_has_ratios_but_no_samples(
    partial_run: Path, tmp_path: Path, fast_figures: None
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(partial_run / "eval", run_dir / "eval")
    for path in run_dir.glob("eval/*/test/results.jsonl"):
        path.unlink()
    summary = _make(run_dir, tmp_path / "out", retention=0.98)
    assert summary["retention"]["python"] == pytest.approx(1.0)
    assert summary["intervals"]["retention"]["python"] is None
    assert "all" not in summary["retention"]  # 48 tasks against 60: nothing to divide
    assert "Sample answers" not in _page(tmp_path / "out").text


def test_the_report_is_repeatable(partial_run: Path, tmp_path: Path, fast_figures: None) -> None:
    for name in ("a", "b"):
        _make(partial_run, tmp_path / name, **THRESHOLDS)
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()
    assert (tmp_path / "a/summary.json").read_bytes() == (tmp_path / "b/summary.json").read_bytes()


def test_nothing_is_written_when_nothing_was_evaluated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished evaluation"):
        _make(tmp_path, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_an_output_that_cannot_be_written(
    partial_run: Path, tmp_path: Path, fast_figures: None
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report"):
        _make(partial_run, tmp_path / "file")


def test_pngs_are_small(full_report: tuple[Path, dict[str, Any]]) -> None:
    out, _ = full_report
    assert (out / "index.html").stat().st_size < 1_500_000
    assert Image.open(BytesIO((out / "figures/models.png").read_bytes())).format == "PNG"


def test_traces_are_coloured_and_escaped(full_report: tuple[Path, dict[str, Any]]) -> None:
    out, _ = full_report
    page = _page(out)
    html = (out / "index.html").read_text(encoding="utf-8")
    traced = [
        attributes for attributes in page.all("details") if attributes.get("class") == "trace"
    ]
    assert len(traced) == 8  # two mixtures, four languages
    assert " &lt;b&gt;" in html
    tokens = [a for a in page.all("span") if "title" in a]
    assert len(tokens) == 8 * 10
    assert {"title": "no expert acts here"} in tokens
    assert {"class": "x2 s50", "title": "layers: JavaScript 3, Python 2"} in tokens
    assert {"class": "x1 s100", "title": "Java in all 5 layers"} in tokens
    assert "JavaScript 90" in page.text  # of the choices in its answer
    assert "sure at the marker, and settled on from the first token." in page.text


def test_suites_are_told_with_intervals_and_what_they_can_show(
    full_report: tuple[Path, dict[str, Any]],
) -> None:
    out, summary = full_report
    assert summary["suites"]["HumanEval"]["moe-sequence"]["pass_at_k"] == {"1": 0.3, "10": 0.6}
    text = _page(out).text
    assert "HumanEval pass@1" in text
    assert "@10 60.0" in text
    assert "HumanEval: 164 problems, 10 answers each" in text
    assert "a change below about 11" in text
    tables = (out / "tables.md").read_text(encoding="utf-8")
    assert "| HumanEval pass@1 |" in tables


def test_traces_are_a_table_too(full_report: tuple[Path, dict[str, Any]]) -> None:
    out, _ = full_report
    with (out / "traces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 10 * (5 + 1)  # languages, tokens, layers of both ways of routing
    token = [r for r in rows if r["model"] == "moe-token" and "/cpp/" in r["id"]]
    assert {r["expert"] for r in token if r["position"] == "4"} == {""}
    assert [r["expert"] for r in token if r["position"] == "8"] == ["cpp"] * 3 + ["python"] * 2
    assert {r["part"] for r in rows if int(r["position"]) < 6} == {"prompt"}


def test_programs_that_pass_are_compared_in_pairs(full_report: tuple[Path, dict[str, Any]]) -> None:
    out, summary = full_report
    tables = (out / "tables.md").read_text(encoding="utf-8")
    part = tables.split("## pass@1: the mixture against each model")[1].split("\n## ")[0]
    rates = {name: summary["models"][name]["all"]["pass_at_1"] for name in ("base", "moe-sequence")}
    gap = rates["moe-sequence"] - rates["base"]
    assert f"| Base (base) | **{gap:.3f}**" in part
    assert "| Own expert (expert) | **0.000**" in part
    assert "identical" in part


def test_damaged_traces_are_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Plan(n=2, models=("moe-token",)))
    path = run / "eval" / "moe-token" / "test" / "traces.json"
    traces = json.loads(path.read_text())
    traces["traces"][1]["tokens"].pop()
    path.write_text(json.dumps(traces))
    with pytest.raises(UserError, match="more tokens than choices"):
        _make(run, tmp_path / "out")


def test_alignment_has_a_table_while_the_mixture_is_made_of_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Plan(n=4))
    counts = {
        "tasks": 80,
        "answers": 640,
        "passed": 0.75,
        "pairs": {"pass over fail": 31, "right language over wrong": 2, "human": 0},
        "without_contrast": {"all answers pass": 40, "no answer passes": 9},
    }
    folder = run / "aligned" / "pairs" / "java"
    folder.mkdir(parents=True)
    (folder / "counts.json").write_text(json.dumps(counts))
    _make(run, tmp_path / "plain")
    assert "preference pairs" not in (tmp_path / "plain" / "tables.md").read_text()
    manifest = run / "moe" / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"inputs": {"base": "x", "aligned/java": "y"}}))
    _make(run, tmp_path / "out")
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "## Alignment: preference pairs by cause" in text
    assert (
        "| java | 80 (640 answers) | 75.0\u00a0% | 31 | 2 | 0 | 49 (all answers pass 40, " in text
    )
    assert "alignment" in [table["id"] for table in _page(tmp_path / "out").all("table")]
