"""GRPO of one expert: rewards reach it, and it acts on the same tokens answering and training."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from codemoe.align_config import AlignConfig
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from codemoe.train import grpo
from codemoe.train.grpo import train_by_reward
from tests.models.tiny import random_adapter
from tests.train.training import ROWS


@pytest.mark.parametrize(
    ("activation", "beta", "reference"),
    [("completion", 0.0, "base"), ("completion", 0.1, "start"), ("all", 0.1, "base")],
)
def test_what_is_rewarded_becomes_likelier(
    activation: str,
    beta: float,
    reference: str,
    sure_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reward is the share of letters: from blind sampling to more of them."""
    start = random_adapter(sure_checkpoint, tmp_path / "python", "mlp", 4, 0)
    out = tmp_path / "out"
    out.mkdir()
    seen: list[tuple[str, str]] = []

    def reward(ids: Sequence[str], answers: Sequence[str]) -> list[float]:
        seen.extend(zip(ids, answers, strict=True))
        return [sum(map(str.isalpha, one)) / (len(one) + 1) for one in answers]

    gaps: list[float] = []
    real = grpo._RewardTrainer._compute_loss

    def compute_loss(self: grpo._RewardTrainer, model: object, inputs: dict[str, object]) -> object:
        loss = real(self, model, inputs)
        gaps.append(float(self._metrics["train"].get("kl", [0.0])[-1]))
        return loss

    monkeypatch.setattr(grpo._RewardTrainer, "_compute_loss", compute_loss)
    told = train_by_reward(
        load_base(BaseReference(str(sure_checkpoint))),
        start,
        ROWS[:4],
        reward,
        name="python",
        config=AlignConfig(
            method="grpo",
            beta=beta,
            reference=reference,  # type: ignore[arg-type]
            samples_per_task=4,
            temperature=1.0,
            train={  # type: ignore[arg-type]
                "epochs": 6,
                "batch_size": 8,
                "learning_rate": 0.05,
                "logging_steps": 1,
                "max_length": 128,
                "warmup_steps": 0,
            },
        ),
        activation=activation,
        max_new_tokens=8,
        seed=0,
        out=out,
    )
    assert told == {"tasks": 4, "steps": 12}
    assert (out / "adapter_model.safetensors").is_file()
    assert not (out / "ref").exists()
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first, last = (sum(row["reward"] for row in some) / 3 for some in (rows[:3], rows[-3:]))
    assert last > first + 0.05
    assert {row_id for row_id, _ in seen} == {row.id for row in ROWS[:4]}
    assert len(seen) == 12 * 8
    if beta and reference == "start":
        assert gaps[0] == pytest.approx(0, abs=1e-5), "nothing has moved from the start yet"
    elif beta:
        assert gaps[0] > 1e-3, "the base is another model"


@pytest.mark.parametrize("activation", ["completion", "all"])
def test_answers_are_drawn_from_what_is_trained(
    activation: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a tiny temperature each token drawn is the likeliest under the trained forward pass."""
    start = random_adapter(tiny_checkpoint, tmp_path / "python", "mlp", 4, 0)
    (tmp_path / "out").mkdir()
    logps: list[torch.Tensor] = []
    real = grpo._RewardTrainer._get_per_token_logps_and_entropies

    def spy(self: grpo._RewardTrainer, *args: object, **kwargs: object) -> object:
        found = real(self, *args, **kwargs)  # type: ignore[arg-type]
        mask_BT = args[2]
        assert isinstance(mask_BT, torch.Tensor)
        logps.append(found[0][mask_BT[:, -found[0].shape[1] :] == 1].detach())
        return found

    monkeypatch.setattr(grpo._RewardTrainer, "_get_per_token_logps_and_entropies", spy)
    train_by_reward(
        load_base(BaseReference(str(tiny_checkpoint))),
        start,
        ROWS[:3],
        lambda ids, answers: [0.0] * len(ids),
        name="python",
        config=AlignConfig(
            method="grpo",
            samples_per_task=2,
            temperature=0.01,
            train={"batch_size": 6, "max_length": 128},  # type: ignore[arg-type]
        ),
        activation=activation,
        max_new_tokens=6,
        seed=0,
        out=tmp_path / "out",
    )
    assert len(logps) == 1
    # Another mask, or other positions, would make other tokens the likeliest.
    assert float(logps[0].exp().min()) > 1e-3
