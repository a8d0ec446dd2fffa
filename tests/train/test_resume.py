"""Exact resume: an interrupted training ends with the bytes of an undisturbed one."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.mistral.modeling_mistral import MistralMLP

from codemoe.artifacts import CHECKPOINTS
from codemoe.train import trainer as trainer_module
from codemoe.train.checkpoints import SEAL, damage, last_good, steps_in
from codemoe.train.stopping import Stopped, evaluations_since_best
from tests.models.tiny import save_checkpoint, tiny_model
from tests.train.training import state_of, train_expert, weights_of

CASES: dict[str, dict[str, Any]] = {
    "a checkpoint between two logged losses": {"logging_steps": 4, "checkpoint_steps": 5},
    "within an accumulation, packed": {"gradient_accumulation_steps": 3, "packing": True},
    "checkpointed activations": {"gradient_checkpointing": True, "lora": {"use_rslora": True}},
    "DoRA, validated": {
        "eval_steps": 3,
        "load_best_model_at_end": True,
        "lora": {"use_dora": True},
    },
    "whole MLPs, validated, packed": {
        "full": True,
        "packing": True,
        "eval_steps": 3,
        "load_best_model_at_end": True,
    },
}


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_model("mistral"), tmp_path_factory.mktemp("resume") / "base")


def at(monkeypatch: pytest.MonkeyPatch, event: str, step: int, act: Callable[[], None]) -> None:
    """Call `act` once, when the trainer reaches `event` with `step` steps done."""
    callback = trainer_module.ProgressAndMetrics
    real = getattr(callback, event)
    done = []

    def reached(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        real(self, args, state, control, **kwargs)
        if state.global_step == step and not done:
            done.append(step)
            act()

    monkeypatch.setattr(callback, event, reached)


def die() -> None:
    raise Killed


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_are_ten_and_ten(
    case: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = CASES[case]
    straight = state_of(train_expert(base, tmp_path / "straight", **options), 20)
    event = "on_substep_end" if "gradient_accumulation_steps" in options else "on_step_end"
    with monkeypatch.context() as patch:
        at(patch, event, 13, die)
        with pytest.raises(Killed):
            train_expert(base, tmp_path / "cut", **options)
    assert steps_in(tmp_path / "cut" / CHECKPOINTS)[-1] < 13
    assert state_of(train_expert(base, tmp_path / "cut", **options), 20) == straight
    weights = [load_file(weights_of(tmp_path / o)) for o in ("straight", "cut")]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    losses = [json.loads(row) for row in straight["metrics"].splitlines()]
    assert max(row["step"] for row in losses) == 20
    # The wrong twin: other draws of dropout, and nothing is the same.
    other = state_of(train_expert(base, tmp_path / "x", **options | {"max_grad_norm": 0.5}), 20)
    differing = {name for name in straight if other[name] != straight[name]}
    assert {weights_of(tmp_path / "x").name, "optimizer.pt", "metrics"} <= differing


def test_checkpointed_activations_change_no_bit(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, and expert after the marker: both are the same in the second forward."""
    forwards = []
    real = MistralMLP.forward

    def counted(self: Any, x: torch.Tensor) -> torch.Tensor:
        forwards.append(1)
        return real(self, x)  # type: ignore[no-any-return]

    monkeypatch.setattr(MistralMLP, "forward", counted)
    plain = state_of(train_expert(base, tmp_path / "plain"), 20)
    once = len(forwards)
    spared = state_of(train_expert(base, tmp_path / "spared", gradient_checkpointing=True), 20)
    assert len(forwards) == 3 * once  # forwards of the second training: one more for the backward
    for name in ("adapter_model.safetensors", "optimizer.pt", "metrics"):
        assert spared[name] == plain[name]


def test_sigterm_saves_within_an_accumulation_and_says_how_to_go_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"gradient_accumulation_steps": 2, "logging_steps": 4}
    straight = state_of(train_expert(base, tmp_path / "straight", **options), 20)
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        at(patch, "on_substep_end", 6, terminate)
        with pytest.raises(Stopped, match="SIGTERM after step 7, which is saved") as stopped:
            train_expert(base, tmp_path / "cut", **options)
    assert stopped.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert "finishing this step" in capsys.readouterr().err
    assert steps_in(tmp_path / "cut" / CHECKPOINTS) == [7]
    assert state_of(train_expert(base, tmp_path / "cut", **options), 20) == straight


def test_a_second_signal_stops_at_once(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice() -> None:
        terminate()
        terminate()

    at(monkeypatch, "on_step_begin", 3, twice)
    with pytest.raises(KeyboardInterrupt):
        train_expert(base, tmp_path, steps=8)
    assert steps_in(tmp_path / CHECKPOINTS) == []


def test_a_damaged_checkpoint_is_not_used(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight = state_of(train_expert(base, tmp_path, checkpoint_steps=5), 20)
    folder = tmp_path / CHECKPOINTS
    assert steps_in(folder) == [15, 20]
    weights = folder / "checkpoint-20" / "adapter_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-5] ^= 1  # one bit: safetensors would load it
    weights.write_bytes(changed)
    torn = folder / "checkpoint-25"
    torn.mkdir()
    (torn / "adapter_model.safetensors").write_bytes(b"")
    assert state_of(train_expert(base, tmp_path, checkpoint_steps=5), 20) == straight
    told = capsys.readouterr().err
    assert "checkpoint of step 20 is damaged" in told
    assert "adapter_model.safetensors has changed" in told
    assert not torn.exists()


@pytest.mark.parametrize("harm", ["seal gone", "file gone", "seal cut"])
def test_what_is_no_checkpoint(harm: str, base: Path, tmp_path: Path) -> None:
    train_expert(base, tmp_path, steps=2)
    checkpoint = tmp_path / CHECKPOINTS / "checkpoint-2"
    assert damage(checkpoint) is None
    if harm == "seal gone":
        (checkpoint / SEAL).unlink()
    elif harm == "file gone":
        (checkpoint / "optimizer.pt").unlink()
    else:
        (checkpoint / SEAL).write_text((checkpoint / SEAL).read_text()[:40])
    assert last_good(tmp_path / CHECKPOINTS) is None
    assert not checkpoint.exists()


def test_the_best_step_is_kept_and_training_ends_early(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1, 1.0, 0.5])
    monkeypatch.setattr("codemoe.train.sft.validation_loss", lambda *a: (next(losses), 7))
    options: dict[str, Any] = {
        "eval_steps": 2,
        "load_best_model_at_end": True,
        "early_stopping_patience": 2,
        "checkpoint_steps": 3,
    }
    train_expert(base, tmp_path, **options)
    told = json.loads((tmp_path / "training.json").read_text())
    assert (told["steps"], told["best_step"], told["best_validation_loss"]) == (8, 4, 2.0)
    folder = tmp_path / CHECKPOINTS
    assert steps_in(folder) == [4, 6, 8]  # the best one is never cleared away
    kept = (tmp_path / "adapter_model.safetensors").read_bytes()

    def same(step: int) -> bool:
        theirs = load_file(folder / f"checkpoint-{step}" / "adapter_model.safetensors")
        ours = load_file(tmp_path / "adapter_model.safetensors")
        return all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())

    assert same(4)
    assert not same(8)
    # Killed after that and begun again: it is over, and ends with the same.
    train_expert(base, tmp_path, **options)
    assert (tmp_path / "adapter_model.safetensors").read_bytes() == kept
    assert json.loads((tmp_path / "training.json").read_text()) == told


def test_evaluations_since_the_best() -> None:
    def history(*losses: float) -> list[dict[str, float]]:
        return [{"loss": 9.0}, *({"eval_loss": loss} for loss in losses)]

    assert evaluations_since_best(history()) == 0
    assert evaluations_since_best(history(3.0, 2.0)) == 0
    assert evaluations_since_best(history(3.0, 2.0, 2.0, 2.5)) == 2
