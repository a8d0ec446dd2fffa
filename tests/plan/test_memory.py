"""What is counted without memory is what the real code takes: every tensor of real steps counted
the same way. benchmarks/plan_memory.py holds whole stages against the plan.

Run with: pytest tests/plan/test_memory.py
"""

from collections.abc import Sequence
from typing import Any

import peft
import pytest
import torch

from codemoe.data.prompt import EncodedPrompt
from codemoe.models.adapter_moe import LoraFactors, attach
from codemoe.models.architectures import target_modules
from codemoe.models.decoding import Decoder, left_pad
from codemoe.models.features import mlp_inputs
from codemoe.plan.shape import adapted
from codemoe.plan.simulate import (
    LiveBytes,
    gate_activations,
    inference_activations,
    reading_activations,
    training_activations,
)
from codemoe.plan.stages import fitting_bytes
from codemoe.recipe import LoraConfig
from codemoe.routing.decisions import route_top_k
from codemoe.routing.fit import fit_router
from codemoe.routing.record import Routing
from codemoe.train.activation import ActivationMask
from codemoe.train.batches import IGNORE, completion_loss
from codemoe.train.gate_training import relaxed
from codemoe.train.sft import lora_config
from tests.models.tiny import tiny_model

ROWS, WIDTH = 4, 96
LORA = LoraConfig(rank=4, alpha=8)
# Grouped queries, tied embeddings, parallel attention; the last has attention that is no kernel.
TYPES = ["mistral", "qwen2", "gpt_neox", "gpt_neo"]
WITHIN = 0.08  # index tensors, rotations of positions, the mask before attention


def counted(model: Any) -> LiveBytes:
    return LiveBytes([*model.parameters(), *model.buffers()])


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids_BT = torch.randint(3, 400, (ROWS, WIDTH))
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[0, -1] = 0
    labels_BT = ids_BT.clone()
    labels_BT[0, -1] = IGNORE
    return ids_BT, mask_BT, labels_BT


def step(model: Any) -> None:
    ids_BT, mask_BT, labels_BT = batch()
    completion_loss(model, ids_BT, mask_BT, labels_BT, 1)[0].backward()


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("model_type", TYPES)
def test_a_training_step(model_type: str, checkpointing: bool) -> None:
    base = tiny_model(model_type)
    config = base.config
    model: Any = peft.get_peft_model(base, lora_config(base, LORA)).train()
    if checkpointing:
        base.enable_input_require_grads()
        base.gradient_checkpointing_enable({"use_reentrant": False})
    live = counted(model)
    with ActivationMask(model).on(torch.ones(ROWS, WIDTH, 1)), live:
        step(model)
    planned = training_activations(
        config,
        LORA,
        ROWS,
        WIDTH,
        learned=WIDTH - 1,
        checkpointing=checkpointing,
        dtype=torch.float32,
    )
    assert planned == pytest.approx(live.peak, rel=WITHIN)


def test_a_step_from_scratch() -> None:
    model = tiny_model("mistral").train()
    live = counted(model)
    with live:
        step(model)
    planned = training_activations(
        model.config,
        None,
        ROWS,
        WIDTH,
        learned=WIDTH - 1,
        checkpointing=False,
        dtype=torch.float32,
    )
    assert planned == pytest.approx(live.peak, rel=WITHIN)


@pytest.mark.parametrize("model_type", TYPES)
def test_reading_router_inputs(model_type: str) -> None:
    model = tiny_model(model_type)
    live = counted(model)
    with torch.no_grad(), live, mlp_inputs(model, range(model.config.num_hidden_layers)):
        for _ in range(2):  # the first batch's inputs are there while the second is read
            ids_BT, mask_BT, _ = batch()
            model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False, logits_to_keep=1)
    planned = reading_activations(model.config, ROWS, WIDTH, dtype=torch.float32)
    assert planned == pytest.approx(live.peak, rel=WITHIN)


@pytest.mark.parametrize("new", [1, 64])
@pytest.mark.parametrize("model_type", TYPES)
def test_reading_and_answering(model_type: str, new: int) -> None:
    model = tiny_model(model_type)
    prompts = [EncodedPrompt(tuple(range(3, 3 + WIDTH - i)), 50) for i in range(ROWS)]
    decoder = Decoder(model, left_pad(prompts, 0, torch.device("cpu")))
    live = counted(model)
    with torch.no_grad(), live:  # in inference mode, what attention does inside is not seen
        token_B = decoder.prefill(0, WIDTH).argmax(-1)
        for _ in range(new):
            token_B = decoder.step(token_B).argmax(-1)
    planned = inference_activations(model.config, ROWS, WIDTH, new, dtype=torch.float32)
    assert planned == pytest.approx(live.peak, rel=WITHIN)


@pytest.mark.parametrize("model_type", TYPES)
def test_training_gates(model_type: str) -> None:
    model = tiny_model(model_type)
    names = target_modules(model_type, "mlp", model)
    one = {
        path: LoraFactors(torch.randn(LORA.rank, inputs), torch.randn(outputs, LORA.rank))
        for path, (inputs, outputs) in adapted(model, names).items()
    }
    experts = attach(model, [one] * 3)
    gates = [torch.randn(3, model.config.hidden_size, requires_grad=True) for _ in range(2)]

    def router(gate_ED: torch.Tensor) -> Any:
        def route(x_ND: torch.Tensor) -> Routing:
            return relaxed(route_top_k(x_ND @ gate_ED.T, 1), 1.0)

        return route

    live = LiveBytes([*model.parameters(), *model.buffers(), *gates])
    with live, experts.use_tokens([router(g) for g in gates], torch.ones(ROWS, WIDTH, 1)):
        step(model)
    planned = gate_activations(
        model.config, LORA, 3, ROWS, WIDTH, learned=WIDTH - 1, dtype=torch.float32
    )
    assert planned == pytest.approx(live.peak, rel=WITHIN)


@pytest.mark.parametrize(("samples", "width"), [(2000, 64), (200, 400)], ids=["tall", "wide"])
def test_fitting_a_router(samples: int, width: int) -> None:
    x_ND, labels_N = torch.randn(samples, width), torch.arange(samples) % 4
    live = LiveBytes([x_ND, labels_N])
    with live:
        fit_router(x_ND, labels_N, 4, folds=5)
    assert fitting_bytes(samples, width, 5) == pytest.approx(live.peak, rel=0.15)


def test_the_counter_counts() -> None:
    kept: Sequence[torch.Tensor] = []
    live = LiveBytes([])
    with live:
        kept = [torch.empty(1000), torch.empty(500)]
        del kept[0]
        view = kept[0][:10]  # the same storage
    assert (live.now, live.peak) == (2000, 6000)
    assert len(view) == 10
