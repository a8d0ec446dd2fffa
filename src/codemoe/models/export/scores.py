"""What the mixture's run measured, for the model card. Reads JSON and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPERT = "expert"


@dataclass(frozen=True)
class Scores:
    """Figures by language, "all" last: of the mixture as evaluated, and of each own expert."""

    mixture: Mapping[str, Mapping[str, Any]]
    expert: Mapping[str, Mapping[str, Any]]

    def retention(self, language: str) -> float | None:
        """CodeBLEU of the mixture over its own expert's; None where that is 0 or missing."""
        own = self.expert.get(language, {}).get("codebleu")
        return self.mixture[language]["codebleu"] / own if own else None


def read_scores(run_dir: Path | None, model: str) -> Scores | None:
    """Of `model` (moe-token, moe-sequence) on the held-out problems; None when not evaluated."""
    if run_dir is None:
        return None
    mixture, expert = (_languages(run_dir, name) for name in (model, EXPERT))
    return Scores(mixture, expert) if mixture else None


def _languages(run_dir: Path, model: str) -> dict[str, Any]:
    try:
        metrics = json.loads((run_dir / "eval" / model / "test" / "metrics.json").read_text())
        return dict(metrics["languages"])
    except (OSError, ValueError, KeyError):  # a card without scores is still a card
        return {}
