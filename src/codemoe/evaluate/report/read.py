"""Read what a run left behind: evaluation results, training curves, seconds per stage.

The only file of the report that knows the layout of a run directory; the rest works on records.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from codemoe.errors import UserError
from codemoe.eval_config import MODEL_NAMES
from codemoe.jsonl import read_jsonl

REDO = "redo the evaluation: codemoe eval RECIPE --force"
Interval = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Scores:
    """One model in one language (or in all). Shares and scores are 0 to 1; None: not measured."""

    n: int
    codebleu: float
    exact: float
    wrong_language: float
    codebleu_interval: Interval | None = None
    exact_interval: Interval | None = None
    pass_at_1: float | None = None
    pass_at_1_interval: Interval | None = None
    wrong_language_interval: Interval | None = None
    floor: float | None = None  # CodeBLEU of other tasks' answers
    empty: int = 0
    degenerate: int = 0  # answers that end in a loop
    cut_off: int = 0  # answers that reached the token limit
    ngram_match: float | None = None
    weighted_ngram_match: float | None = None
    syntax_match: float | None = None
    dataflow_match: float | None = None
    by_status: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RoutingResult:
    """Where the prompts went. `confusion[i][j]`: prompts of language i that expert j answered."""

    experts: tuple[str, ...]
    languages: tuple[str, ...]
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    confidence: float | None = None
    unnamed_accuracy: float | None = None  # prompts that do not name their language
    load: Mapping[str, list[list[float]]] | None = None  # language -> layer -> share per expert


@dataclass(frozen=True)
class Cost:
    active_parameters: int | None = None
    total_parameters: int | None = None
    flops_per_token: int | None = None
    tokens_per_s: float | None = None
    peak_memory_mb: float | None = None


@dataclass(frozen=True)
class Sandbox:
    """The sandbox tier the tests ran in; None: they did not run, for `reason`; `fix` enables it."""

    tier: str | None = None
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Answer:
    """One row of results.jsonl."""

    id: str
    language: str
    text: str
    reference: str
    prediction: str
    codebleu: float
    exact: bool = False
    detected_language: str | None = None
    status: str | None = None
    detail: str | None = None
    expert: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Trace:
    """The tokens of one answer and its prompt, each with its expert in every layer (-1: none)."""

    id: str
    language: str
    marker: int  # token from which on experts act
    answer: int  # token that the answer begins with
    tokens: tuple[str, ...]
    chosen_TL: tuple[tuple[int, ...], ...]
    sure_T: tuple[float, ...]


@dataclass(frozen=True)
class Traces:
    """What traces.json holds: `routers` is sequence or token, indices are those of `experts`."""

    routers: str
    experts: tuple[str, ...]
    traces: tuple[Trace, ...]


@dataclass(frozen=True)
class SuiteResult:
    """One model on one published suite; the keys of `pass_at_k` are texts, None: not run."""

    suite: str
    format: str
    problems: int
    samples: int
    pass_at_k: Mapping[str, float | None] | None = None
    pass_at_k_interval: Mapping[str, Interval | None] | None = None
    detectable_difference: float | None = None
    by_status: Mapping[str, int] | None = None
    not_answered: int = 0
    cut_off: int = 0


@dataclass(frozen=True)
class ModelResult:
    name: str
    languages: dict[str, Scores]
    total: Scores
    scores: dict[str, list[float]]  # per-sample CodeBLEU by language
    routing: RoutingResult | None
    cost: Cost
    sandbox: Sandbox
    answers: dict[str, Answer]  # by id; empty when results.jsonl is missing
    traces: Traces | None = None
    suites: dict[str, SuiteResult] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A finished stage directory, or an evaluated model without a manifest of its own."""

    name: str
    seconds: float
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    split: str  # test | valid
    models: dict[str, ModelResult]  # in the order of MODEL_NAMES
    curves: dict[str, list[tuple[int, float]]]  # expert -> (step, training loss)
    stages: list[Stage]
    router: Mapping[str, Any] | None  # routing_metrics.json of the router stage
    # By expert, counts.json of its pairs; empty where the mixture's experts are not aligned.
    alignment: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        """Every evaluated language, in order of first appearance."""
        return list(dict.fromkeys(lang for m in self.models.values() for lang in m.languages))

    @property
    def sandbox(self) -> Sandbox:
        """One that ran, if any did."""
        found = [model.sandbox for model in self.models.values()]
        return next((s for s in found if s.tier), found[0] if found else Sandbox())


def read_evaluation(
    run_dir: Path, split: str = "test", models: Sequence[str] = MODEL_NAMES
) -> Evaluation:
    """Read a run directory: what was measured of these models on one split of its data.

    Raises UserError when no model has been evaluated, or a file is damaged (it names the place).
    """
    paths = {name: run_dir / "eval" / name / split / "metrics.json" for name in models}
    files = {name: path for name, path in paths.items() if path.is_file()}
    if not files:
        what = "does not exist" if not run_dir.is_dir() else "holds no finished evaluation"
        raise UserError(
            f"{run_dir} {what}; expected {run_dir}/eval/<model>/{split}/metrics.json",
            "evaluate first: codemoe eval RECIPE (or the whole run: codemoe run RECIPE)",
        )
    return Evaluation(
        split=split,
        models={name: _model(name, files[name]) for name in MODEL_NAMES if name in files},
        curves={
            path.parent.name: curve
            for path in sorted(run_dir.glob("experts/*/metrics.jsonl"))
            if (curve := _curve(path))
        },
        stages=[
            stage
            for stage in _stages(run_dir)
            if not stage.name.startswith("eval/")
            or stage.name in {f"eval/{name}/{split}" for name in files}
            or (
                stage.name.split("/")[1] in files
                and stage.name.split("/")[2] not in ("test", "valid")
            )
        ],
        router=_optional_json(run_dir / "router" / "routing_metrics.json"),
        alignment=_alignment(run_dir),
    )


def _model(name: str, path: Path) -> ModelResult:
    metrics = _json(path)
    if not isinstance(metrics.get("languages"), dict) or "all" not in metrics["languages"]:
        raise UserError(f"{path} has no `languages` with an entry `all`", REDO)
    languages = {
        language: _record(Scores, values, path, f"languages.{language}")
        for language, values in metrics["languages"].items()
    }
    total = languages.pop("all")
    routing = metrics.get("routing")
    if routing:
        routing = _checked_routing(_record(RoutingResult, routing, path, "routing"), path)
    return ModelResult(
        name=name,
        languages=languages,
        total=total,
        scores={language: list(values) for language, values in metrics.get("scores", {}).items()},
        routing=routing or None,
        cost=_record(Cost, metrics.get("cost") or {}, path, "cost"),
        sandbox=_record(Sandbox, metrics.get("sandbox") or {}, path, "sandbox"),
        answers={answer.id: answer for answer in _answers(path.with_name("results.jsonl"))},
        traces=_traces(path.with_name("traces.json")),
        suites=_suites(path.parent.parent),
    )


def _traces(path: Path) -> Traces | None:
    found = _optional_json(path)
    if found is None:
        return None
    traces = _record(Traces, {**found, "traces": []}, path, "traces")
    made = [
        _record(Trace, one, path, f"traces[{i}]") for i, one in enumerate(found.get("traces") or ())
    ]
    sizes = [{len(one.tokens), len(one.chosen_TL), len(one.sure_T)} for one in made]
    if any(len(size) > 1 for size in sizes):
        raise UserError(f"{path}: a trace has more tokens than choices, or fewer", REDO)
    return replace(traces, traces=tuple(made))


def _suites(folder: Path) -> dict[str, SuiteResult]:
    """Every finished suite of a model, by name."""
    found = {}
    for path in sorted(folder.glob("*/metrics.json")):
        if path.parent.name not in ("test", "valid") and not path.parent.name.startswith("."):
            found[path.parent.name] = _record(SuiteResult, _json(path), path, "metrics")
    return found


def _checked_routing(routing: RoutingResult, path: Path) -> RoutingResult:
    """Rows and columns that do not fit their names would put numbers under wrong headings."""
    columns = len(routing.experts)
    confusion = routing.confusion or ()
    layers = [layer for value in (routing.load or {}).values() for layer in value or ()]
    if (confusion and len(confusion) != len(routing.languages)) or any(
        len(row) != columns for row in [*confusion, *layers]
    ):
        raise UserError(
            f"{path}: `routing` has {columns} experts and {len(routing.languages)} languages, but "
            "confusion or load have other sizes",
            REDO,
        )
    return routing


def _record(cls: type[T], values: Any, path: Path, where: str) -> T:
    """`cls` from the keys it knows; lists become tuples. Raises for a missing or broken number."""
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: `{where}` is {type(values).__name__}, not keys and values", REDO)
    known: dict[str, Any] = {}
    for item in fields(cls):  # type: ignore[arg-type]
        value = values.get(item.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{path}: `{where}.{item.name}` is {value}, not a number", REDO)
        if value is not None:
            known[item.name] = _frozen(value)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise UserError(f"{path}: `{where}.{item.name}` is missing", REDO)
    return cls(**known)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _alignment(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Only what the mixture is made of: `aligned/` may be there from an earlier recipe."""
    inputs = (_optional_json(run_dir / "moe" / "manifest.json") or {}).get("inputs") or {}
    names = [role.partition("/")[2] for role in inputs if role.startswith("aligned/")]
    found = {
        name: _optional_json(run_dir / "aligned" / "pairs" / name / "counts.json")
        for name in sorted(names)
    }
    return {name: counts for name, counts in found.items() if counts is not None}


def _answers(path: Path) -> Iterator[Answer]:
    for number, row in _jsonl(path):
        yield _record(Answer, row, path, f"line {number}")


def _curve(path: Path) -> list[tuple[int, float]]:
    rows = [row for _, row in _jsonl(path) if "step" in row and "loss" in row]
    return [(int(row["step"]), float(row["loss"])) for row in rows]


def _stages(run_dir: Path) -> list[Stage]:
    """Every finished stage, outermost directories only: what lies inside is part of its seconds."""
    found: list[Stage] = []

    def visit(folder: Path) -> None:
        manifest = _optional_json(folder / "manifest.json")
        metrics = folder / "metrics.json"
        name = folder.relative_to(run_dir).as_posix()
        if manifest is not None and folder != run_dir:
            found.append(
                Stage(
                    name,
                    float(manifest.get("seconds") or 0.0),
                    manifest.get("seed"),
                    manifest.get("versions") or {},
                    manifest.get("config") or {},
                )
            )
        elif folder.parent.parent.name == "eval" and metrics.is_file():
            found.append(Stage(name, float(_json(metrics).get("seconds") or 0.0)))
        else:
            inner = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
            for path in sorted(inner):
                if path.name not in ("report", "report-valid") or path.parent != run_dir:
                    visit(path)

    visit(run_dir)
    order = ("data", "base", "experts", "aligned", "merged", "moe", "router", "eval")
    rank = {name: i for i, name in enumerate(order)}
    return sorted(found, key=lambda s: (rank.get(s.name.partition("/")[0], len(order)), s.name))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}", REDO) from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {type(value).__name__}, not keys and values", REDO)
    return value


def _optional_json(path: Path) -> dict[str, Any] | None:
    return _json(path) if path.is_file() else None


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file; none when it is missing or empty, as the curve of a short training is."""
    return read_jsonl(path, REDO) if path.is_file() and path.stat().st_size else iter(())
