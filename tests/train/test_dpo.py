"""DPO of one expert: its loss is six lines of arithmetic; cut at any step, it ends the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codemoe.align_config import AlignConfig
from codemoe.artifacts import CHECKPOINTS
from codemoe.data.preferences import Preference
from codemoe.data.prompt import encode_answer, encode_formatted, format_prompt
from codemoe.errors import UserError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.load import attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.train.checkpoints import steps_in
from codemoe.train.dpo import align_expert
from tests.models.tiny import random_adapter
from tests.train.test_resume import Killed, at, die
from tests.train.training import state_of

PAIRS = [
    Preference(
        f"t{i}",
        "python",
        "pass over fail",
        format_prompt(f"add {i} numbers " * (i % 3 + 1), "python"),
        f"def add(a):\n    return a + {i}\n" * (i % 2 + 1),
        "def add(a):\n    return a",
        "pass",
        "fail",
        i % 2 == 0,
    )
    for i in range(6)
]


@pytest.fixture(scope="module")
def start(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An expert that differs from the base."""
    folder = tmp_path_factory.mktemp("start") / "python"
    return random_adapter(tiny_checkpoint, folder, "mlp", 4, 0)


def align(
    base: Path,
    start: Path,
    out: Path,
    pairs: list[Preference] = PAIRS,
    activation: str = "both",
    quantization: str = "none",
    train: dict[str, Any] | None = None,
    **config: Any,
) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    few = {"batch_size": 2, "logging_steps": 1, "checkpoint_steps": 2, "learning_rate": 1e-3}
    return align_expert(
        load_base(BaseReference(str(base), None, quantization)),
        start,
        pairs,
        name="python",
        config=AlignConfig(train=few | (train or {}), **config),  # type: ignore[arg-type]
        activation=activation,
        seed=3,
        out=out,
    )


def log_probs(base: Path, start: Path | None, activation: str) -> dict[tuple[int, str], float]:
    """Of every answer, summed over its tokens, as the *mixture* computes them: one at a time."""
    model = load_base(BaseReference(str(base)))
    gates_11E = None
    if start is not None:
        model = attach_experts(model, {"python": start}, activation)
        gates_11E = one_hot_gates(torch.tensor([0]), 1)
    found = {}
    for number, pair in enumerate(PAIRS):
        prompt = encode_formatted(model.tokenizer, pair.prompt)
        answers = {
            "chosen": (pair.chosen, True),
            "rejected": (pair.rejected, pair.rejected_finished),
        }
        for which, (text, finished) in answers.items():
            one = encode_answer(model.tokenizer, prompt, text, finished)
            ids_1T = torch.tensor([one.input_ids])
            first = 0 if activation == "all" else one.marker_start
            with torch.no_grad():
                if gates_11E is None:
                    logits_TV = model.model(ids_1T).logits[0]
                else:
                    assert model.mixture is not None
                    with model.mixture.layers.use(gates_11E, first):
                        logits_TV = model.model(ids_1T).logits[0]
            logps_T = logits_TV[:-1].log_softmax(-1).gather(-1, ids_1T[0, 1:, None])[:, 0]
            answer_T = logps_T[one.completion_start - 1 :]
            found[number, which] = float(answer_T.sum())
            found[number, f"{which} tokens"] = len(answer_T)
    return found


@pytest.mark.parametrize("activation", ["all", "completion"])
@pytest.mark.parametrize("reference", ["base", "start"])
@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_the_loss_is_the_papers(
    method: str,
    reference: str,
    activation: str,
    tiny_checkpoint: Path,
    start: Path,
    tmp_path: Path,
) -> None:
    """One batch of all pairs, before anything has moved."""
    align(
        tiny_checkpoint,
        start,
        tmp_path / "out",
        activation=activation,
        method=method,
        reference=reference,
        beta=0.3,
        train={"batch_size": len(PAIRS)},
    )
    told = json.loads((tmp_path / "out/metrics.jsonl").read_text().splitlines()[0])
    now = log_probs(tiny_checkpoint, start, activation)
    then = now if reference == "start" else log_probs(tiny_checkpoint, None, activation)
    losses = []
    for i in range(len(PAIRS)):
        scale = {w: now[i, f"{w} tokens"] if method == "ipo" else 1 for w in ("chosen", "rejected")}
        ratio = {w: (now[i, w] - then[i, w]) / scale[w] for w in ("chosen", "rejected")}
        margin = torch.tensor(ratio["chosen"] - ratio["rejected"])
        sigmoid = -torch.nn.functional.logsigmoid(0.3 * margin)
        losses.append(sigmoid if method == "dpo" else (margin - 1 / 0.6) ** 2)
    assert told["loss"] == pytest.approx(float(torch.stack(losses).mean()), rel=2e-4)
    if reference == "start":
        expected = 0.6931 if method == "dpo" else (1 / 0.6) ** 2
        assert told["loss"] == pytest.approx(expected, rel=1e-3)
    else:
        assert abs(told["rewards/margins"]) > 1e-3, "the expert is not the base"


def test_training_prefers_what_was_chosen(
    tiny_checkpoint: Path, start: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = align(
        tiny_checkpoint, start, out, reference="start", sft_weight=0.1, train={"epochs": 6}
    )
    assert told["pairs"] == {"used": 6}
    assert told["causes"] == {"pass over fail": 6}
    assert told["steps"] == 18
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["rewards/margins"] > rows[0]["rewards/margins"] + 0.1
    margins = []
    for adapter in (start, out):
        found = log_probs(tiny_checkpoint, adapter, "completion")
        margins.append(sum(found[i, "chosen"] - found[i, "rejected"] for i in range(len(PAIRS))))
    assert margins[1] > margins[0] + 1
    files = {path.name for path in out.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= files
    assert "ref" not in files, "one adapter, of the same form as an expert"
    before, after = (load_file(f / "adapter_model.safetensors") for f in (start, out))
    assert before.keys() == after.keys()


@pytest.mark.parametrize("reference", ["base", "start"])
def test_a_killed_alignment_ends_as_an_undisturbed_one(
    reference: str,
    tiny_checkpoint: Path,
    start: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {
        "reference": reference,
        "train": {"epochs": 2, "logging_steps": 3, "checkpoint_steps": 2},
    }
    align(tiny_checkpoint, start, tmp_path / "straight", **options)
    with monkeypatch.context() as patch:
        at(patch, "on_step_end", 5, die)
        with pytest.raises(Killed):
            align(tiny_checkpoint, start, tmp_path / "cut", **options)
    assert steps_in(tmp_path / "cut" / CHECKPOINTS)[-1] == 4
    align(tiny_checkpoint, start, tmp_path / "cut", **options)
    assert state_of(tmp_path / "cut", 6) == state_of(tmp_path / "straight", 6)


def test_on_a_four_bit_base_too(tiny_checkpoint: Path, start: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    out = tmp_path / "out"
    align(
        tiny_checkpoint,
        start,
        out,
        reference="start",
        quantization="4bit",
        train={"epochs": 3},
    )
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == pytest.approx(0.6931, rel=5e-3)
    assert rows[-1]["rewards/margins"] > 0.02
    weights = load_file(out / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_pairs_that_do_not_fit(tiny_checkpoint: Path, start: Path, tmp_path: Path) -> None:
    told = align(tiny_checkpoint, start, tmp_path / "some", train={"max_length": 50})
    assert told["pairs"]["longer than max_length"] > 0
    with pytest.raises(UserError, match=r"none of the 6 pairs.*python.*fits into 9 tokens"):
        align(tiny_checkpoint, start, tmp_path / "none", train={"max_length": 9})
