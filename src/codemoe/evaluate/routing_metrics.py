"""How well a mixture routed: accuracy with an interval, confusion, load."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codemoe.data.prompt import encode_prompt
from codemoe.data.rows import Row
from codemoe.evaluate.statistics import bootstrap_interval, share_interval
from codemoe.models.generate import route_prompts
from codemoe.models.load import CodeModel


def sequence_routing(
    model: CodeModel,
    rows: Sequence[Row],
    samples: Sequence[Mapping[str, Any]],
    languages: Sequence[str],
    own: Sequence[str],
) -> dict[str, Any]:
    assert model.mixture is not None
    experts = list(model.mixture.experts)
    confusion = np.zeros((len(languages), len(experts)), dtype=int)
    for row, sample in zip(rows, samples, strict=True):
        confusion[languages.index(row.language), experts.index(sample["expert"])] += 1
    right = [float(sample["expert"] == expert) for expert, sample in zip(own, samples, strict=True)]
    unnamed = [
        float(choice.expert == expert)
        for start in range(0, len(rows), 64)
        for expert, choice in zip(
            own[start : start + 64],
            route_prompts(
                model,
                [encode_prompt(model.tokenizer, row.text) for row in rows[start : start + 64]],
            ),
            strict=True,
        )
    ]
    return {
        "experts": experts,
        "languages": list(languages),
        "accuracy": float(np.mean(right)),
        "accuracy_interval": share_interval(float(np.mean(right)), len(right)),
        "confusion": confusion.tolist(),
        "confidence": float(np.mean([sample["confidence"] for sample in samples])),
        "unnamed_accuracy": float(np.mean(unnamed)),
        "load": None,
    }


def token_routing(
    model: CodeModel,
    rows: Sequence[Row],
    samples: Sequence[Mapping[str, Any]],
    languages: Sequence[str],
    own: Sequence[str],
) -> dict[str, Any]:
    """Accuracy is the share of (layer, token) choices that went to the row's own expert; the
    confusion counts answers by the expert that had most of their choices."""
    assert model.mixture is not None
    experts = list(model.mixture.experts)
    confusion = np.zeros((len(languages), len(experts)), dtype=int)
    right: list[float] = []
    load: dict[str, list[np.ndarray]] = {language: [] for language in languages}
    for row, expert, sample in zip(rows, own, samples, strict=True):
        shares_LE = np.array(sample["load"])
        load[row.language].append(shares_LE)
        right.append(float(shares_LE[:, experts.index(expert)].mean()))
        confusion[languages.index(row.language), int(shares_LE.mean(0).argmax())] += 1
    return {
        "experts": experts,
        "languages": list(languages),
        "accuracy": float(np.mean(right)),
        "accuracy_interval": list(bootstrap_interval(right)),
        "confusion": confusion.tolist(),
        "confidence": None,
        "unnamed_accuracy": None,
        "load": {name: np.mean(parts, axis=0).tolist() for name, parts in load.items() if parts},
    }
