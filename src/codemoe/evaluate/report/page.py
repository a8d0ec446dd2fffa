"""Put the report's parts into the HTML template. No numbers are made here."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.evaluate.report.checks import AT_MOST, Check
from codemoe.evaluate.report.figures import Figure
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.samples import RULE, sample_answers
from codemoe.evaluate.report.summary import ALL, BASE, MIXTURE, main_model
from codemoe.evaluate.report.table import Table
from codemoe.evaluate.report.traces import trace_groups
from codemoe.evaluate.report.words import (
    DASH,
    NOT_RUN,
    enabling,
    headline,
    interval,
    language_label,
    lead,
    model_label,
    percent,
    score,
    times,
    versions_of,
)
from codemoe.evaluate.statistics import share_interval

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
_CHECK_LABELS = {
    "retention": "Retention of the own expert",
    "base_ratio": "CodeBLEU over the base",
    "wrong_language": "Answers in a wrong language",
    "routing_accuracy": "Routing accuracy",
    "pass_at_1": "Answers that pass their tests",
}


@dataclass(frozen=True)
class Tile:
    """One number at the top of the page."""

    label: str
    value: str
    notes: tuple[str, ...]
    quiet: bool = False  # not measured


@dataclass(frozen=True)
class Verdict:
    """One row of the check matrix; `cells` by language label (None: not asked for)."""

    label: str
    required: str
    cells: tuple["VerdictCell | None", ...]


@dataclass(frozen=True)
class VerdictCell:
    text: str
    passed: bool
    cause: str
    wide: bool = False  # holds for the whole run


def render_page(
    evaluation: Evaluation,
    summary: Mapping[str, Any],
    checks: Sequence[Check],
    tables: Mapping[str, Table],
    figures: Mapping[str, Figure],
    images: Mapping[str, tuple[bytes, bytes]],
    *,
    name: str,
    command: str,
    breaks: Sequence[str] = (),
) -> str:
    """The self-contained index.html; `images` holds every figure's light and dark PNG."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        score=score, percent=percent, language=language_label, model=model_label
    )
    shown_from, samples = sample_answers(evaluation)
    failures = [check for check in checks if not check.passed]
    return environment.get_template("report.html.j2").render(
        name=name,
        command=command,
        breaks=breaks,
        headline=_emphasised(headline(evaluation)),
        lead=[_unbroken(sentence) for sentence in lead(evaluation)],
        tiles=tiles(evaluation, summary),
        languages=[language_label(language) for language in evaluation.languages],
        verdicts=verdicts(checks, evaluation.languages),
        checks=checks,
        failures=[(_check_name(check), check) for check in failures],
        tables=tables,
        figures=figures,
        images={key: tuple(_data_uri(data) for data in pair) for key, pair in images.items()},
        not_run=_not_run(evaluation),
        sandbox=evaluation.sandbox,
        enabling=enabling(evaluation.sandbox.fix),
        routing=_routing_words(evaluation),
        trace_groups=trace_groups(evaluation),
        samples_from=model_label(shown_from) if shown_from else None,
        samples=samples,
        rule=RULE,
        versions=versions_of(evaluation),
        configs=[
            (stage.name, json.dumps(stage.config, indent=2, ensure_ascii=False))
            for stage in evaluation.stages
            if stage.config
        ],
    )


def tiles(evaluation: Evaluation, summary: Mapping[str, Any]) -> list[Tile]:
    """The numbers at the top: the mixture's if there is one, with intervals."""
    main = main_model(evaluation)
    total = main.total
    base = evaluation.models.get(BASE) if main.name != BASE else None
    before = base.total if base else None
    wrong = share_interval(total.wrong_language, total.n)
    intervals = summary["intervals"]
    return [
        _tile(
            "CodeBLEU",
            score(total.codebleu),
            interval(total.codebleu_interval),
            f"base {score(before.codebleu)}" if before else "",
        ),
        _tile(
            "pass@1",
            percent(total.pass_at_1),
            interval(total.pass_at_1_interval, 1, 100),
            f"base {percent(before.pass_at_1)}" if before and before.pass_at_1 is not None else "",
        )
        if total.pass_at_1 is not None
        else Tile("pass@1", NOT_RUN, ("how to run it: section 5",), quiet=True),
        _share_tile("Retention", summary["retention"].get(ALL), intervals["retention"].get(ALL)),
        _share_tile(
            "Routing accuracy", summary["routing"]["accuracy"], intervals["routing"]["accuracy"]
        ),
        _tile(
            "Wrong language",
            percent(total.wrong_language),
            interval(wrong, 1, 100),
            f"base {percent(before.wrong_language)}" if before else "",
        ),
        _tile(
            "Exact match",
            percent(total.exact),
            interval(total.exact_interval, 1, 100),
            f"base {percent(before.exact)}" if before else "",
        ),
    ]


def _tile(label: str, value: str, *notes: str) -> Tile:
    return Tile(label, value, tuple(_unbroken(note) for note in notes if note))


def _share_tile(label: str, value: float | None, pair: Any) -> Tile:
    if value is None:
        return Tile(label, DASH, ("not measured",), quiet=True)
    return _tile(label, percent(value), interval(pair, 1, 100))


def verdicts(checks: Sequence[Check], languages: Sequence[str]) -> list[Verdict]:
    """The checks as a matrix: one row per threshold, one cell per language."""
    rows = []
    for name in dict.fromkeys(check.name for check in checks):
        own = [check for check in checks if check.name == name]
        by_language = {check.language: check for check in own}
        if None in by_language:
            cells: tuple[VerdictCell | None, ...] = (_cell(by_language[None], wide=True),)
        else:
            cells = tuple(
                _cell(by_language[language]) if language in by_language else None
                for language in languages
            )
        sign = "\N{LESS-THAN OR EQUAL TO}" if name in AT_MOST else "\N{GREATER-THAN OR EQUAL TO}"
        required = f"{sign}\N{NO-BREAK SPACE}{_shown(name, own[0].required)}"
        rows.append(Verdict(_CHECK_LABELS[name], required, cells))
    return rows


def _cell(check: Check, wide: bool = False) -> VerdictCell:
    text = "not measured" if check.found is None else _shown(check.name, check.found)
    return VerdictCell(text, check.passed, check.cause, wide)


def _shown(name: str, value: float) -> str:
    return times(value) if name == "base_ratio" else percent(value)


def _check_name(check: Check) -> str:
    where = f", {language_label(check.language)}" if check.language else ""
    found = "not measured" if check.found is None else _shown(check.name, check.found)
    required = _shown(check.name, check.required)
    return f"{_CHECK_LABELS[check.name]}{where}: {found}, required {required}"


def _emphasised(text: str) -> "Markup":
    """The numbers of the headline, set apart."""
    from markupsafe import Markup, escape

    unit = "\N{NO-BREAK SPACE}%|\N{MULTIPLICATION SIGN}"
    parts = re.split(rf"(\d[\d.]*(?:{unit}))", text)
    return Markup("").join(
        Markup("<em>{}</em>").format(part) if i % 2 else escape(part)
        for i, part in enumerate(parts)
    )


def _data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _unbroken(text: str) -> str:
    """Keep an interval's two ends on one line."""
    joiner = "\N{WORD JOINER}"
    return re.sub(rf"(?<=\d){DASH}(?=\d)", f"{joiner}{DASH}{joiner}", text)


def _not_run(evaluation: Evaluation) -> list[str]:
    """Languages whose tests did not run for any model; "All" alone when none ran."""
    models = evaluation.models.values()
    if all(model.total.pass_at_1 is None for model in models):
        return [language_label(ALL)]
    return [
        language_label(language)
        for language in evaluation.languages
        if not any(
            model.languages[language].pass_at_1 is not None
            for model in models
            if language in model.languages
        )
    ]


def _routing_words(evaluation: Evaluation) -> list[str]:
    """What the confusion matrix does not show."""
    model = evaluation.models.get(MIXTURE)
    routing = model.routing if model else None
    if routing is None:
        return []
    said = []
    if routing.accuracy is not None:
        pair = interval(routing.accuracy_interval, 1, 100)
        said.append(
            f"The sequence router chose the right expert for {percent(routing.accuracy)} of the "
            f"prompts{f' ({pair})' if pair else ''}."
        )
    if routing.unnamed_accuracy is not None:
        said.append(
            f"Of prompts that do not name their language it was right on "
            f"{percent(routing.unnamed_accuracy)}."
        )
    if routing.confidence is not None:
        said.append(f"Its mean confidence was {percent(routing.confidence)}.")
    return said
