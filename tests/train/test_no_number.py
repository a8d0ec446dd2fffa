"""NaN and infinity stop a training before the step that they would have spoiled."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codemoe.artifacts import CHECKPOINTS
from codemoe.errors import WorkError
from codemoe.train import sft
from codemoe.train.checkpoints import damage, steps_in
from codemoe.train.stopping import first_not_finite
from tests.models.tiny import save_checkpoint, tiny_model
from tests.train.training import ROWS, train_expert

OPTIONS: dict[str, Any] = {"steps": 8, "checkpoint_steps": 2, "gradient_accumulation_steps": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_model("mistral"), tmp_path_factory.mktemp("nan") / "base")


def spoil(monkeypatch: pytest.MonkeyPatch, batch: int, with_gradient: bool, value: float) -> None:
    """Make the loss of one batch (counted from 1), or the gradient through it, no number."""
    real, calls = sft.completion_loss, 0

    def spoiled(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        loss, output = real(*args)
        if calls == batch:
            if with_gradient:
                loss.register_hook(lambda gradient: gradient * value)
            else:
                loss = loss * value
        return loss, output

    monkeypatch.setattr(sft, "completion_loss", spoiled)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number(
    value: float, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 10, False, value)
    with pytest.raises(WorkError) as error:
        train_expert(base, tmp_path, **OPTIONS)
    told = str(error.value)
    assert f"the loss is {value} in batch 10 (samples " in told
    assert ") of step 5; stopped before that step changed the weights" in told
    named = told.partition("samples ")[2].partition(")")[0].split(", ")
    assert len(named) == 2
    assert set(named) <= {row.id for row in ROWS}
    assert "checkpoint of step 4 is kept" in told
    assert "--force" in told
    _last_good_is_finite(tmp_path)


def test_a_gradient_that_is_none_though_the_loss_is(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 10, True, float("inf"))
    with pytest.raises(WorkError, match=r"the gradient is (nan|inf) at step 5 .* batches 9 to 10"):
        train_expert(base, tmp_path, **OPTIONS)
    _last_good_is_finite(tmp_path)


def _last_good_is_finite(out: Path) -> None:
    folder = out / CHECKPOINTS
    assert steps_in(folder) == [2, 4]
    assert damage(folder / "checkpoint-4") is None
    weights = load_file(folder / "checkpoint-4" / "adapter_model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 4  # the step itself was never made


def test_weights_that_are_none_are_not_saved(base: Path, tmp_path: Path) -> None:
    """A learning rate beyond all bounds: finite losses, then a step into nowhere."""
    with pytest.raises(WorkError, match=r"lower the learning rate \(1e\+38\)"):
        train_expert(base, tmp_path, **OPTIONS | {"learning_rate": 1e38, "warmup_steps": 0})
    for step in steps_in(tmp_path / CHECKPOINTS):
        checkpoint = tmp_path / CHECKPOINTS / f"checkpoint-{step}"
        weights = load_file(checkpoint / "adapter_model.safetensors")
        assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())


def test_the_first_that_is_not_finite() -> None:
    assert first_not_finite([1.0, float("inf"), float("nan")]) == 1
    assert first_not_finite([0.0, -1e38]) is None


def test_a_validation_loss_that_is_no_number(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last step no batch would tell, and of such losses none is the best."""
    losses = iter([3.0, float("nan")])
    monkeypatch.setattr(sft, "validation_loss", lambda *args: (next(losses), 1))
    options = OPTIONS | {"eval_steps": 4, "load_best_model_at_end": True}
    with pytest.raises(WorkError) as error:
        train_expert(base, tmp_path, **options)
    told = str(error.value)
    assert "the validation loss is nan after step 8; stopped there" in told
    assert "the checkpoint of step 6 is kept" in told
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()
    assert steps_in(tmp_path / CHECKPOINTS) == [4, 6]
