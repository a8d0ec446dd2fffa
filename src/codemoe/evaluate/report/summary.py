"""The numbers that scripts rely on: `summary.json`, keys fixed by the design."""

from typing import Any

from codemoe.evaluate.report.compare import Ratio, ratio
from codemoe.evaluate.report.read import Evaluation, Interval, ModelResult, Scores

MIXTURE = "moe-sequence"
ORACLE = "moe-oracle"
EXPERT = "expert"
BASE = "base"
ALL = "all"
_LEADING = (MIXTURE, "moe-token", EXPERT, BASE)


def main_model(evaluation: Evaluation) -> ModelResult:
    """The model that the report is about: the mixture, or the nearest thing that was evaluated."""
    models = evaluation.models
    return models[next((name for name in _LEADING if name in models), next(iter(models)))]


def ratios(evaluation: Evaluation, above: str, below: str) -> dict[str, Ratio]:
    """CodeBLEU of one model over another by language, "all" last; empty when one is missing."""
    a, b = evaluation.models.get(above), evaluation.models.get(below)
    if a is None or b is None:
        return {}
    found = {language: ratio(a, b, language) for language in a.languages}
    found[ALL] = ratio(a, b)
    return {language: value for language, value in found.items() if value is not None}


def build_summary(evaluation: Evaluation) -> dict[str, Any]:
    """The summary without its `checks`; everything in it is JSON, None where not measured."""
    retention = ratios(evaluation, MIXTURE, EXPERT)
    base_ratio = ratios(evaluation, MIXTURE, BASE)
    tables = {
        name: {**model.languages, ALL: model.total} for name, model in evaluation.models.items()
    }
    routing, accuracy_interval = _routing(evaluation)
    return {
        "split": evaluation.split,
        "models": {
            name: {language: _scores(scores) for language, scores in table.items()}
            for name, table in tables.items()
        },
        "retention": {language: value.value for language, value in retention.items()},
        "routing": routing,
        "cost": {
            name: {
                "active_parameters": model.cost.active_parameters,
                "total_parameters": model.cost.total_parameters,
                "tokens_per_s": model.cost.tokens_per_s,
                "peak_memory_mb": model.cost.peak_memory_mb,
            }
            for name, model in evaluation.models.items()
        },
        "flops_per_token": {
            name: model.cost.flops_per_token for name, model in evaluation.models.items()
        },
        "answers": {
            name: {language: _answers(scores) for language, scores in table.items()}
            for name, table in tables.items()
        },
        "suites": _suites(evaluation),
        "seconds": round(sum(stage.seconds for stage in evaluation.stages), 3),
        "intervals": {
            "models": {
                name: {language: _intervals(scores) for language, scores in table.items()}
                for name, table in tables.items()
            },
            "retention": {language: _pair(value.interval) for language, value in retention.items()},
            "base_ratio": {
                language: _pair(value.interval) for language, value in base_ratio.items()
            },
            "routing": {"accuracy": _pair(accuracy_interval)},
        },
    }


def _scores(scores: Scores) -> dict[str, float | None]:
    return {
        "codebleu": scores.codebleu,
        "pass_at_1": scores.pass_at_1,
        "exact": scores.exact,
        "wrong_language": scores.wrong_language,
    }


def _answers(scores: Scores) -> dict[str, int]:
    """How many answers there are, and how many of them are none."""
    return {
        "n": scores.n,
        "empty": scores.empty,
        "degenerate": scores.degenerate,
        "cut_off": scores.cut_off,
    }


def _suites(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """suite -> model -> pass@k and its interval; by k as text."""
    found: dict[str, dict[str, Any]] = {}
    for name, model in evaluation.models.items():
        for suite, result in model.suites.items():
            found.setdefault(suite, {})[name] = {
                "problems": result.problems,
                "pass_at_k": result.pass_at_k,
                "pass_at_k_interval": result.pass_at_k_interval,
            }
    return found


def _intervals(scores: Scores) -> dict[str, list[float] | None]:
    return {
        "codebleu": _pair(scores.codebleu_interval),
        "pass_at_1": _pair(scores.pass_at_1_interval),
        "exact": _pair(scores.exact_interval),
        "wrong_language": _pair(scores.wrong_language_interval),
    }


def _pair(interval: Interval | None) -> list[float] | None:
    return list(interval) if interval is not None else None


def _routing(evaluation: Evaluation) -> tuple[dict[str, Any], Interval | None]:
    """Accuracy and confusion (asked language -> chosen expert -> prompts) of the mixture."""
    model = evaluation.models.get(MIXTURE)
    routing = model.routing if model else None
    if routing is None:
        return {"accuracy": None, "confusion": None}, None
    confusion = None
    if routing.confusion is not None:
        confusion = {
            language: dict(zip(routing.experts, row, strict=True))
            for language, row in zip(routing.languages, routing.confusion, strict=True)
        }
    return {"accuracy": routing.accuracy, "confusion": confusion}, routing.accuracy_interval
