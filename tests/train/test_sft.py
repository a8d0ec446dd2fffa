"""Expert training: what is learned from, where the expert acts, and exact resume."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codemoe.data.prompt import Example
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from codemoe.recipe import LoraConfig, TrainConfig
from codemoe.train import trainer as trainer_module
from codemoe.train.batches import IGNORE, Collator, encode_rows, plan_training
from codemoe.train.sft import _ExpertTrainer, train_adapter
from tests.models.tiny import CONFIGS, save_checkpoint, tiny_model, tiny_tokenizer

ROWS = [
    Row(
        f"r{i}",
        f"g{i}",
        "python",
        f"add {i} numbers",
        f"def add(a):\n    return a + {i}",
        "t",
        "MIT",
    )
    for i in range(12)
]


def one_batch(examples: list[Example], activation: str) -> list[dict[str, Any]]:
    names = [str(i) for i in range(len(examples))]
    size = len(examples)
    return plan_training(
        examples, names, batch_size=size, num_batches=1, activation=activation, seed=0
    ).samples


def test_only_the_completion_and_its_end_are_learned() -> None:
    tokenizer = tiny_tokenizer()
    examples, counts = encode_rows(ROWS, tokenizer, 256)
    assert counts["used"] == 12
    batch = Collator(tokenizer.pad_token_id)(one_batch(examples[:4], "completion"))
    for row in range(4):
        learned = batch["input_ids"][row][batch["labels"][row] != IGNORE]
        text = tokenizer.decode(learned)
        assert text.startswith("def add(a):")
        assert text.endswith("</s>")
        active = batch["input_ids"][row][batch["active_BT1"][row, :, 0] == 1]
        assert tokenizer.decode(active).lstrip().startswith("### Code:\ndef add(a):")


def test_long_samples_are_dropped_and_counted_not_cut() -> None:
    _, counts = encode_rows(ROWS, tiny_tokenizer(), 10)
    assert counts == {"longer than max_length": 12, "used": 0}


def _train(base: Path, out: Path, steps: int = 6) -> dict[str, torch.Tensor]:
    out.mkdir(exist_ok=True)
    train_adapter(
        load_base(BaseReference(str(base))),
        ROWS,
        name="python",
        lora=LoraConfig(rank=4, alpha=8, dropout=0.1),
        train=TrainConfig(
            steps=steps, batch_size=2, logging_steps=1, checkpoint_steps=2, warmup_steps=2
        ),
        activation="both",
        seed=3,
        out=out,
    )
    return load_file(out / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_model("mistral"), tmp_path_factory.mktemp("sft") / "base")


def test_an_interrupted_training_resumes_to_the_same_bytes(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = _train(base, tmp_path / "straight")

    class Killed(Exception):
        pass

    def die_at_5(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if state.global_step == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.ProgressAndMetrics, "on_step_end", die_at_5)
        with pytest.raises(Killed):
            _train(base, tmp_path / "cut")
    assert (tmp_path / "cut" / "checkpoints" / "checkpoint-4").is_dir()
    resumed = _train(base, tmp_path / "cut")
    assert resumed.keys() == straight.keys()
    for name, tensor in straight.items():
        assert torch.equal(tensor, resumed[name]), name

    def losses(folder: Path) -> list[tuple[int, float]]:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [(row["step"], row["loss"]) for row in map(json.loads, lines)]

    assert losses(tmp_path / "cut") == losses(tmp_path / "straight")
    assert [step for step, _ in losses(tmp_path / "cut")] == [1, 2, 3, 4, 5, 6]


def test_training_learns_and_a_torn_checkpoint_is_passed_over(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    torn = out / "checkpoints" / "checkpoint-4"
    torn.mkdir(parents=True)
    (torn / "trainer_state.json").write_text('{"global_st')
    trained = _train(base, out, steps=12)
    assert any(tensor.abs().max() > 0 for name, tensor in trained.items() if "lora_B" in name)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    summary = json.loads((out / "training.json").read_text())
    assert summary["trainable_parameters"] > 0
    shutil.rmtree(out)


@pytest.mark.parametrize("model_type", sorted(CONFIGS))
def test_the_loss_is_the_models_own(model_type: str) -> None:
    """Logits for some columns only must give the loss that transformers computes from all."""
    model, tokenizer = tiny_model(model_type), tiny_tokenizer()
    examples, _ = encode_rows(ROWS[:3], tokenizer, 256)
    batch = Collator(tokenizer.pad_token_id)(one_batch(examples, "all"))
    del batch["active_BT1"]
    with torch.no_grad():
        expected = model(**batch).loss
        found = _ExpertTrainer.compute_loss(None, model, dict(batch))  # type: ignore[arg-type]
        batch["labels"] = batch["input_ids"]
        everything = model(**batch).loss
    assert float(found) == pytest.approx(float(expected), abs=1e-5)
    assert float(found) != pytest.approx(float(everything), abs=1e-4)  # the wrong twin


def test_no_sample_that_fits_is_a_user_error(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of its 12 samples fits"):
        train_adapter(
            load_base(BaseReference(str(base))),
            ROWS,
            name="python",
            lora=LoraConfig(),
            train=TrainConfig(steps=1, max_length=8),
            activation="all",
            seed=0,
            out=tmp_path,
        )


def test_trackers_are_checked_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from codemoe.train import trackers

    installed = {"wandb", "trackio"}
    monkeypatch.setattr(trackers, "find_spec", lambda name: name in installed or None)
    trackers.check_trackers(["wandb", "trackio"])
    with pytest.raises(UserError, match="tensorboard is not installed") as error:
        trackers.check_trackers(["tensorboard"])
    assert "codemoe[track]" in error.value.fix
    with pytest.raises(UserError, match="unknown tracker 'wandbb'; known: tensorboard, wandb"):
        trackers.check_trackers(["wandbb"])


def test_the_dense_baseline_keeps_the_experts_scaling() -> None:
    from codemoe.train.experts_stage import dense_budget

    for rslora, scaling in ((False, 2.0), (True, 8.0)):
        lora = LoraConfig(rank=16, alpha=32, use_rslora=rslora)
        dense, train = dense_budget(lora, TrainConfig(steps=10), 4)
        assert (dense.rank, train.steps) == (64, 40)
        root = dense.rank**0.5 if rslora else dense.rank
        assert dense.alpha / root == pytest.approx(scaling)
