"""Samples -> results.jsonl rows and metrics.json: every score with its interval."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.eval_config import EvalConfig
from codemoe.evaluate.codebleu import score_corpus
from codemoe.evaluate.degenerate import is_degenerate
from codemoe.evaluate.sandbox import NOT_COUNTED, Job, Limits, SandboxProbe, probe, run_jobs
from codemoe.evaluate.statistics import share_interval
from codemoe.evaluate.wrong_language import language_of
from codemoe.progress import progress

NO_TESTS = "this data carries no tests"


@lru_cache(maxsize=20_000)
def _language_of(code: str, asked: str) -> str | None:
    """Models that agree give the same text again and again."""
    return language_of(code, asked=asked)


def same_code(a: str, b: str) -> bool:
    """Exact match up to white space at line ends and around the whole."""
    return [x.rstrip() for x in a.strip().splitlines()] == [
        x.rstrip() for x in b.strip().splitlines()
    ]


def sandbox_probe(config: EvalConfig, has_tests: bool) -> SandboxProbe:
    """Whether to execute answers, and if not, why and what would enable it."""
    if not has_tests:
        return SandboxProbe(None, NO_TESTS, "")
    if config.execute == "never":
        return SandboxProbe(None, "eval.execute is never", "eval.execute=auto")
    found = probe()
    if found.tier is None and config.execute == "required":
        raise UserError(
            f"eval.execute=required, but no sandbox works here: {found.reason}", found.fix
        )
    return found


def execute_answers(
    name: str,
    rows: Sequence[Row],
    predictions: Sequence[str],
    suite: Mapping[str, Mapping[str, str]],
    config: EvalConfig,
    cache: Path,
) -> list[tuple[str | None, str]]:
    """(status, detail) of each answer; status None where a row has no tests."""
    jobs = [
        Job(row.id, row.language, prediction, suite[row.id]["tests"])
        for row, prediction in zip(rows, predictions, strict=True)
        if row.id in suite
    ]
    with progress(f"test {name}", len(jobs), "programs") as advance:
        verdicts = run_jobs(
            jobs,
            Limits(wall_s=config.timeout_s),
            on_result=lambda verdict: advance(1, ""),
            cache=cache,
        )
    by_id = {verdict.id: verdict for verdict in verdicts}
    return [
        (by_id[row.id].status, by_id[row.id].detail) if row.id in by_id else (None, "")
        for row in rows
    ]


def result_rows(
    rows: Sequence[Row],
    samples: Sequence[Mapping[str, Any]],
    verdicts: Sequence[tuple[str | None, str]],
) -> list[dict[str, Any]]:
    predictions = [sample["completion"] for sample in samples]
    score = score_corpus(
        [row.code for row in rows],
        predictions,
        [row.language for row in rows],
        with_floor=False,
    )
    results = []
    for row, sample, verdict, one in zip(rows, samples, verdicts, score.per_sample, strict=True):
        prediction = sample["completion"]
        results.append(
            {
                "id": row.id,
                "group": row.group,
                "language": row.language,
                "text": row.text,
                "reference": row.code,
                "prediction": prediction,
                "codebleu": one.codebleu,
                "exact": same_code(prediction, row.code),
                "detected_language": _language_of(prediction, row.language)
                if prediction.strip()
                else None,
                "status": verdict[0],
                "detail": verdict[1],
                "expert": sample["expert"],
                "confidence": sample["confidence"],
                "finish_reason": sample["finish_reason"],
            }
        )
    return results


def _share(hits: Sequence[float]) -> list[float] | None:
    interval = share_interval(sum(hits) / len(hits), len(hits)) if hits else None
    return None if interval is None else list(interval)


def figures(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The scores of some results (one language's, or all)."""
    score = score_corpus(
        [r["reference"] for r in results],
        [r["prediction"] for r in results],
        [r["language"] for r in results],
    )
    exact = [float(r["exact"]) for r in results]
    counted = [r for r in results if r["status"] is not None and r["status"] not in NOT_COUNTED]
    passed = [float(r["status"] == "pass") for r in counted]
    wrong = [
        float(r["detected_language"] is not None and r["detected_language"] != r["language"])
        for r in results
    ]
    return {
        "n": len(results),
        "codebleu": score.codebleu,
        "codebleu_interval": list(score.interval),
        "ngram_match": score.ngram_match,
        "weighted_ngram_match": score.weighted_ngram_match,
        "syntax_match": score.syntax_match,
        "dataflow_match": score.dataflow_match,
        "floor": score.floor,
        "empty": score.empty,
        "degenerate": sum(is_degenerate(r["prediction"]) for r in results),
        "cut_off": sum(r["finish_reason"] == "length" for r in results),
        "exact": sum(exact) / len(exact),
        "exact_interval": _share(exact),
        "pass_at_1": sum(passed) / len(passed) if passed else None,
        "pass_at_1_interval": _share(passed),
        "wrong_language": sum(wrong) / len(wrong),
        "wrong_language_interval": _share(wrong),
        "by_status": dict(Counter(r["status"] for r in results if r["status"] is not None)),
    }
