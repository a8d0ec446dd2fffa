"""A made-up run directory: random but plausible results, in exactly the evaluation's schema."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codemoe.evaluate.statistics import bootstrap_interval

LANGUAGES = ("python", "java", "javascript", "cpp")
MODELS = (
    "base",
    "expert",
    "merged-ties",
    "merged-average",
    "dense-all",
    "moe-token",
    "moe-sequence",
    "moe-oracle",
)
# Share of perfect answers, mean of the others, share in a wrong language, tokens per second.
_QUALITY = {
    "base": (0.0, 0.31, 0.21, 2900.0),
    "expert": (0.80, 0.74, 0.0, 2840.0),
    "merged-ties": (0.18, 0.52, 0.05, 2905.0),
    "merged-average": (0.07, 0.46, 0.08, 2890.0),
    "dense-all": (0.76, 0.73, 0.0, 2835.0),
    "moe-token": (0.09, 0.48, 0.11, 2400.0),
    "moe-sequence": (0.80, 0.74, 0.0, 2790.0),
    "moe-oracle": (0.80, 0.74, 0.0, 2795.0),
}
_CODE = {
    "python": "def {name}(values: list[int]) -> int:\n    total = 0\n    for x in values:\n"
    "        if x % {k} == 0:\n            total += {m} * x\n    return total  # done",
    "java": "class Solution {{\n    static int {name}(int[] values) {{\n        int total = 0;\n"
    "        for (int value : values) {{\n            if (value % {k} == 0) {{\n"
    "                total += {m} * value;\n            }}\n        }}\n        return total;\n"
    "    }}\n}}",
    "javascript": "function {name}(values) {{\n    return values\n"
    "        .filter((x) => x % {k} === 0)\n        .reduce((total, x) => total + {m} * x, 0);\n}}",
    "cpp": "#include <vector>\nusing namespace std;\n\nint {name}(const vector<int>& values) {{\n"
    "    int total = 0;\n    for (int value : values) {{\n        if (value % {k} == 0) {{\n"
    "            total += {m} * value;\n        }}\n    }}\n    return total;\n}}",
    "rust": "fn {name}(values: &[i64]) -> i64 {{\n    values.iter().filter(|x| *x % {k} == 0)"
    ".map(|x| {m} * x).sum()\n}}",
}
VERSIONS = {"codemoe": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0"}


@dataclass(frozen=True)
class Plan:
    """What the made-up run holds."""

    languages: Sequence[str] = LANGUAGES
    experts: Sequence[str] = LANGUAGES
    models: Sequence[str] = MODELS
    n: int = 50
    execute: bool = True
    misrouted: int = 0  # prompts of the second language that went to the third expert
    oracle_gap: float = 0.0  # CodeBLEU that even perfect routing loses, to every mixture
    quality: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    layers: int = 5
    traces: bool = True
    suites: dict[str, float] = field(default_factory=dict)  # name -> pass@1 of all but the base


def write_run(run_dir: Path, plan: Plan | None = None) -> Path:
    plan = plan or Plan()
    tasks = _tasks(plan)
    for model in plan.models:
        folder = run_dir / "eval" / model / "test"
        folder.mkdir(parents=True)
        rows = [row for row in _answers(plan, model, tasks)]
        _write(folder / "metrics.json", _metrics(plan, model, rows))
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "results.jsonl").write_text(lines, encoding="utf-8")
        if plan.traces and model in ("moe-token", "moe-sequence"):
            _write(
                folder / "traces.json", _traces(plan, "token" if "token" in model else "sequence")
            )
        for suite, passed in plan.suites.items():
            _write_suite(folder.parent / suite, model, passed)
    rng = np.random.default_rng(7)
    stages = {"data": 6.2, "base": 1.1, "moe": 0.6, "router": 4.8, "merged/ties": 1.4}
    for i, name in enumerate([*plan.experts, "dense-all"]):
        stages[f"experts/{name}"] = 48.0 + 3 * i
        folder = run_dir / "experts" / name
        folder.mkdir(parents=True)
        losses = [
            {
                "step": s,
                "loss": 0.08 + 0.01 * i + 2.4 * float(np.exp(-s / 45)) + rng.normal(0, 0.01),
            }
            for s in range(10, 310, 10)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in losses))
    for name, seconds in stages.items():
        (run_dir / name).mkdir(parents=True, exist_ok=True)
        _write(
            run_dir / name / "manifest.json",
            {
                "kind": name.split("/")[0],
                "config": {"name": name, "steps": 300},
                "seconds": seconds,
                "versions": VERSIONS,
                "seed": 0,
            },
        )
    count = len(plan.experts)
    _write(
        run_dir / "router" / "routing_metrics.json",
        {
            "sequence": {
                "layer": 2,
                "accuracy": 1.0,
                "log_loss": 0.003,
                "confusion": [[200 * (i == j) for j in range(count)] for i in range(count)],
            },
            "token": [
                {"layer": i, "accuracy": float(rng.uniform(0.67, 0.98))} for i in range(plan.layers)
            ],
        },
    )
    return run_dir


def _traces(plan: Plan, routers: str) -> dict[str, Any]:
    """A prompt of six tokens, a marker, an answer of four; layers that agree less and less."""
    tokens = ["###", " Task", ":", " <b>", "\n", "### Code:\n", "int", " f", "(", ")"]
    layers = plan.layers if routers == "token" else 1
    rows = []
    for i, language in enumerate(plan.languages):
        own = min(i, len(plan.experts) - 1)
        chosen = [
            [own if token >= 5 or routers == "sequence" else -1] * layers for token in range(10)
        ]
        if routers == "token":
            chosen[8] = [own] * (layers - 2) + [0, 0]
        rows.append(
            {
                "id": f"array_reduce/sum.{i}/{language}/0",
                "language": language,
                "marker": 5,
                "answer": 6,
                "tokens": tokens,
                "chosen_TL": chosen,
                "sure_T": [0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.0, 1.0, 0.6, 1.0],
            }
        )
    return {"routers": routers, "experts": list(plan.experts), "traces": rows}


def _write_suite(folder: Path, model: str, passed: float) -> None:
    folder.mkdir(parents=True)
    value = 0.0 if model == "base" else passed
    metrics = {
        "model": model,
        "suite": folder.name,
        "format": "humaneval",
        "problems": 164,
        "samples": 10,
        "pass_at_k": {"1": value, "10": min(1.0, 2 * value)},
        "pass_at_k_interval": {"1": [value, value + 0.05], "10": [value, min(1.0, 2.2 * value)]},
        "detectable_difference": 0.11,
        "by_status": {"pass": round(164 * value)},
    }
    _write(folder / "metrics.json", metrics)


def _tasks(plan: Plan) -> list[tuple[str, str, int]]:
    """(id, language, difficulty seed) of every task."""
    return [
        (f"array_reduce/sum.{i}/{language}/0", language, 1000 * position + i)
        for position, language in enumerate(plan.languages)
        for i in range(plan.n)
    ]


def _answers(plan: Plan, model: str, tasks: Sequence[tuple[str, str, int]]) -> list[dict[str, Any]]:
    perfect, mean, wrong, _ = plan.quality.get(model, _QUALITY[model])
    same_as_expert = model in ("moe-sequence", "moe-oracle") and model not in plan.quality
    rows = []
    for key, language, difficulty in tasks:
        position = list(plan.languages).index(language)
        has_expert = position < len(plan.experts)
        if model == "expert" and not has_expert:
            continue
        # The mixture repeats its expert's answer, as the lossless chain promises.
        rng = np.random.default_rng([difficulty, 1 if same_as_expert else MODELS.index(model)])
        easy = np.random.default_rng(difficulty).random()
        number = int(key.split(".")[1].split("/")[0])
        code = _CODE[language].format(name=f"sumOf{number}", k=2 + number % 5, m=1 + number % 3)
        chance = perfect if has_expert else 0.0
        exact = bool(0.75 * easy + 0.25 * rng.random() < chance)
        codebleu = 1.0 if exact else float(np.clip(rng.normal(mean, 0.11), 0, 0.99))
        prediction = code if exact else code.replace("total", "result").replace("% 2", "% 3")
        expert = plan.experts[position if has_expert else 0]
        if model == "moe-sequence" and position == 1 and number < plan.misrouted:
            expert, exact, codebleu = plan.experts[2], False, codebleu * 0.6
        if model.startswith("moe-") and plan.oracle_gap:
            codebleu, exact = codebleu * (1 - plan.oracle_gap), False
        if model == "base" and number % 17 == 3:
            prediction, codebleu = "", 0.0
        strayed = bool(rng.random() < wrong)
        status = None
        if plan.execute and language != "rust":
            failures = ["fail", "fail", "error", "timeout", "compile_error"]
            passed = exact or rng.random() < 0.2 * chance
            status = "pass" if passed else failures[int(rng.integers(len(failures)))]
        rows.append(
            {
                "id": key,
                "group": f"array_reduce/sum.{number}",
                "language": language,
                "text": f"Sum of the values divisible by {2 + number % 5} | Multiply each by "
                f"{1 + number % 3} ; Add them up; <b>Return</b> the total",
                "reference": code,
                "prediction": prediction,
                "codebleu": codebleu,
                "exact": exact,
                "detected_language": "java" if strayed else language,
                "status": status,
                "detail": "assertion failed: 12 != 14" if status == "fail" else "",
                "expert": expert if model.startswith("moe-") else None,
                "confidence": 0.997 if model == "moe-sequence" else None,
            }
        )
    return rows


def _metrics(plan: Plan, model: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    languages = [lang for lang in plan.languages if any(r["language"] == lang for r in rows)]
    table = {lang: _scores([r for r in rows if r["language"] == lang]) for lang in languages}
    token = model == "moe-token"
    return {
        "model": model,
        "suite": "test",
        "n": len(rows),
        "languages": {**table, "all": _scores(rows)},
        "scores": {
            lang: [r["codebleu"] for r in rows if r["language"] == lang] for lang in languages
        },
        "routing": _routing(plan, rows, token) if model.startswith("moe-") else None,
        "cost": {
            "active_parameters": 2_260_000 if "moe" in model or model == "expert" else 2_120_000,
            "total_parameters": 2_680_000 if "moe" in model else 2_120_000,
            "flops_per_token": 4_400_000,
            "tokens_per_s": plan.quality.get(model, _QUALITY[model])[3],
            "peak_memory_mb": 640.0 + 40 * ("moe" in model),
        },
        "sandbox": {"tier": "bubblewrap", "reason": "", "fix": ""}
        if plan.execute
        else {
            "tier": None,
            "reason": "bwrap not found",
            "fix": "sudo apt-get install bubblewrap",
        },
        "seconds": 21.5,
    }


def _scores(rows: list[dict[str, Any]]) -> dict[str, Any]:
    codebleu = [row["codebleu"] for row in rows]
    exact = [float(row["exact"]) for row in rows]
    ran = [float(row["status"] == "pass") for row in rows if row["status"] is not None]
    mean = float(np.mean(codebleu))
    return {
        "n": len(rows),
        "codebleu": mean,
        "codebleu_interval": list(bootstrap_interval(codebleu)),
        "ngram_match": mean * 0.9,
        "weighted_ngram_match": mean * 0.95,
        "syntax_match": min(1.0, mean * 1.05),
        "dataflow_match": None if rows[0]["language"] == "rust" else min(1.0, mean * 1.1),
        "floor": 0.27,
        "empty": sum(not row["prediction"] for row in rows),
        "degenerate": 0,
        "cut_off": 1,
        "exact": float(np.mean(exact)),
        "exact_interval": list(bootstrap_interval(exact)),
        "pass_at_1": float(np.mean(ran)) if ran else None,
        "pass_at_1_interval": list(bootstrap_interval(ran)) if ran else None,
        "wrong_language": float(
            np.mean([row["detected_language"] != row["language"] for row in rows])
        ),
        "by_status": dict(Counter(row["status"] for row in rows if row["status"])),
    }


def _routing(plan: Plan, rows: list[dict[str, Any]], token: bool) -> dict[str, Any]:
    experts = list(plan.experts)
    confusion = [
        [sum(r["language"] == lang and r["expert"] == name for r in rows) for name in experts]
        for lang in plan.languages
    ]
    right = sum(row[i] for i, row in enumerate(confusion) if i < len(experts))
    rng = np.random.default_rng(11)
    load = {
        lang: [
            (
                0.25 * rng.dirichlet([1.0] * len(experts))
                + 0.75 * np.eye(len(experts))[i % len(experts)]
            )
            .round(4)
            .tolist()
            for _ in range(plan.layers)
        ]
        for i, lang in enumerate(plan.languages)
    }
    accuracy = right / len(rows)
    return {
        "experts": experts,
        "languages": list(plan.languages),
        "accuracy": accuracy,
        "accuracy_interval": [max(0.0, accuracy - 0.01), min(1.0, accuracy + 0.002)],
        "confusion": confusion,
        "confidence": 0.994,
        "unnamed_accuracy": 0.99,
        "load": load if token else None,
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
