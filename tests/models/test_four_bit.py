"""Experts on a 4-bit base: the same function as PEFT on that base, attention experts included.

Run with: pytest tests/models/test_four_bit.py
"""

import gc
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.adapter_moe import StackedLora, one_hot_gates
from codemoe.models.decoding import Decoder, left_pad
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import CodeModel, attach_experts, load_base
from codemoe.models.one_pass import read_and_route
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import SequenceRouter
from codemoe.models.upcycle import upcycle
from codemoe.routing.routers import LinearRouter
from tests.models.tiny import peft_model, save_checkpoint, tiny_model

pytest.importorskip("bitsandbytes", reason="4-bit bases need the qlora extra")

# float32 products of 4-bit weights, in two orders of summation; the logits are of order 1.
TOLERANCE = 1e-5
EXPERTS = {"mlp": ("mlp", 3), "attention": ("attention", 5), "both": ("both", 2)}
TEXTS = ["add two numbers", "the sum of the squares of all even numbers"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny_model("mistral", hidden_size=64, intermediate_size=128)
    return save_checkpoint(model, tmp_path_factory.mktemp("four_bit") / "base")


@pytest.fixture(scope="module")
def adapters(base: Path) -> dict[str, Path]:
    peft_model(base, EXPERTS).save_pretrained(str(base.parent))
    return {name: base.parent / name for name in EXPERTS}


def _four_bit(base: Path) -> CodeModel:
    """In training mode (nothing here drops out): in evaluation, bitsandbytes may compute in
    bfloat16 on some processors, and 1e-5 would be too much to ask."""
    model = load_base(BaseReference(str(base), None, "4bit"))
    model.model.train()
    return model


@pytest.fixture(scope="module")
def moe(base: Path, adapters: dict[str, Path]) -> CodeModel:
    return attach_experts(_four_bit(base), adapters, "completion")


def _logits(model: torch.nn.Module, ids_BT: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids_BT).logits.float()


def test_each_expert_is_pefts_on_the_same_base(
    base: Path, adapters: dict[str, Path], moe: CodeModel
) -> None:
    ids_BT = torch.randint(3, 400, (3, 17), generator=torch.Generator().manual_seed(0))
    reference = _four_bit(base).model
    bare = _logits(reference, ids_BT)
    exact = _logits(load_base(BaseReference(str(base))).model, ids_BT)
    assert (bare - exact).abs().max() > 0.01, "the base must really be rounded"
    first, *others = adapters
    wrapped = peft.PeftModel.from_pretrained(reference, str(adapters[first]), first)
    for name in others:
        wrapped.load_adapter(str(adapters[name]), name)
    wrapped.train()
    assert moe.mixture is not None
    for index, name in enumerate(adapters):
        wrapped.set_adapter(name)
        alone = _logits(wrapped, ids_BT)
        with moe.mixture.layers.use(one_hot_gates(torch.full((3,), index), 3)):
            found = _logits(moe.model, ids_BT)
        assert (alone - bare).abs().max() > 0.01
        assert (found - alone).abs().max() <= TOLERANCE
    with moe.mixture.layers.use(one_hot_gates(torch.tensor([2, 0, 1]), 3)):
        mixed = _logits(moe.model, ids_BT)
    for row, name in enumerate(["both", "mlp", "attention"]):
        wrapped.set_adapter(name)
        assert (mixed[row] - _logits(wrapped, ids_BT)[row]).abs().max() <= TOLERANCE


def test_factors_stay_in_full_precision(moe: CodeModel) -> None:
    stacked = [m for m in moe.model.modules() if isinstance(m, StackedLora)]
    assert len(stacked) == 2 * 7
    assert {m.a_RD.dtype for m in stacked} == {torch.float32}
    assert {type(m.base).__name__ for m in stacked} == {"Linear4bit"}


def test_routing_and_generation(moe: CodeModel) -> None:
    """Attention experts act before the router's layer decides: the copies of the marker."""
    assert moe.mixture is not None
    generator = torch.Generator().manual_seed(0)
    router = LinearRouter(torch.randn(3, 128, generator=generator), torch.zeros(3))
    routed = replace(moe, mixture=replace(moe.mixture, sequence_router=SequenceRouter(0, router)))
    prompts = [encode_prompt(moe.tokenizer, text, "python") for text in TEXTS]
    batch = left_pad(prompts, moe.tokenizer.pad_token_id, moe.model.device)
    with torch.no_grad():
        read = read_and_route(
            moe.mixture.layers, SequenceRouter(0, router), Decoder(moe.model, batch)
        )
    assert read is not None
    answers = generate_batch(routed, prompts, Route("sequence"), max_new_tokens=6)
    chosen = tuple(answer.choice.expert for answer in answers if answer.choice)
    named = generate_batch(moe, prompts, Route("named", chosen), max_new_tokens=6)
    assert [a.token_ids for a in answers] == [a.token_ids for a in named]


def test_full_weight_experts_are_refused(base: Path) -> None:
    with pytest.raises(UserError, match="quantised"):
        upcycle(_four_bit(base).model, 2, lambda layer: LinearRouter(torch.zeros(2, 64)))


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="reads Linux's list of mappings")
def test_the_checkpoint_is_let_go_of(base: Path) -> None:
    """Nothing of a 4-bit base is a view of its files: they would stay in memory whole."""

    def mapped() -> bool:
        return str(base.resolve()) in Path("/proc/self/maps").read_text()

    plain = load_base(BaseReference(str(base)))
    assert mapped()  # what holds it here, the weights themselves
    del plain
    gc.collect()
    model = _four_bit(base)
    assert not mapped()
    del model


def test_projections_of_any_width_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes' packing on some processors takes whole blocks only."""
    odd = tiny_model("mistral", hidden_size=64, intermediate_size=80)
    reference = BaseReference(str(save_checkpoint(odd, tmp_path / "base")), None, "4bit")
    with torch.no_grad():
        logits = load_base(reference).model.eval()(torch.tensor([[3, 4, 5]])).logits
    assert logits.isfinite().all()
    # As such a processor would have it, whatever this one is.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    packed = {
        name.rpartition(".")[2]: module.support_avx512bf16_for_cpu
        for name, module in load_base(reference).model.named_modules()
        if hasattr(module, "support_avx512bf16_for_cpu")
    }
    assert {name for name, is_packed in packed.items() if not is_packed} == {
        "gate_proj",
        "up_proj",
        "down_proj",
    }
    assert packed["q_proj"]
