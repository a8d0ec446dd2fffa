"""Routing in the one pass over the prompt = reading the instruction, then handing over the marker.

Run with: pytest tests/models/test_one_pass.py
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.models import one_pass
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.architectures import ARCHITECTURES
from codemoe.models.decoding import Decoder, left_pad
from codemoe.models.features import instruction_features, mlp_inputs
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import CodeModel, attach_experts, load_base
from codemoe.models.one_pass import read_and_route
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import SequenceRouter
from codemoe.routing.routers import LinearRouter
from tests.models.tiny import CONFIGS, random_adapter, save_checkpoint, tiny_model

TOLERANCE = 1e-5  # float32 rounding: attention adds in another order
LAYERS = 3
TEXTS = ["add two numbers", "a", "the sum of the squares of all even numbers", "sort names by age"]


def _deep(model_type: str) -> dict[str, object]:
    """Three layers, so that one lies before, one at and one after a router in the middle."""
    if model_type == "gpt_neo":
        return {"num_layers": LAYERS, "attention_types": [[["global", "local", "global"], 1]]}
    known = CONFIGS[model_type]
    changes: dict[str, object] = {"n_layer" if "n_layer" in known else "num_hidden_layers": LAYERS}
    if "layer_types" in known:
        changes["layer_types"] = [*known["layer_types"], "sliding_attention"]
    # Room for the instruction and all copies of the marker.
    return changes | ({"sliding_window": 128} if "sliding_window" in known else {})


def mixture_on(folder: Path, model_type: str, target: str, **changes: object) -> CodeModel:
    base = save_checkpoint(tiny_model(model_type, **(_deep(model_type) | changes)), folder / "base")
    adapters = {n: random_adapter(base, folder / n, target, 3, i) for i, n in enumerate("abc")}
    return attach_experts(load_base(BaseReference(str(base))), adapters, "completion")


def _prompts(model: CodeModel) -> list[EncodedPrompt]:
    return [encode_prompt(model.tokenizer, text, "python") for text in TEXTS]


def with_router(model: CodeModel, layer: int) -> CodeModel:
    """A router that sends each of the first three prompts to another expert."""
    batch = left_pad(_prompts(model), model.tokenizer.pad_token_id, model.model.device)
    with torch.no_grad(), mlp_inputs(model.model, [layer]) as inputs:
        Decoder(model.model, batch).read(0, batch.cut)
    x_BD = instruction_features(inputs[layer], batch.instruction_BT())
    centred_ED = (x_BD - x_BD.mean(0))[:3]
    router = LinearRouter(100 * centred_ED, torch.zeros(3))
    assert model.mixture is not None
    sequence = SequenceRouter(layer, router)
    return replace(model, mixture=replace(model.mixture, sequence_router=sequence))


def in_two_passes(model: CodeModel, decoder: Decoder) -> tuple[torch.Tensor, torch.Tensor]:
    """The definition: experts (B,) chosen after the instruction, logits after the marker."""
    mixture, batch = model.mixture, decoder.batch
    assert mixture is not None
    assert mixture.sequence_router is not None
    layer = mixture.sequence_router.layer
    with torch.no_grad():
        with mlp_inputs(model.model, [layer]) as inputs:
            decoder.read(0, batch.cut)
        features_BD = instruction_features(inputs[layer], batch.instruction_BT())
        experts_B = mixture.sequence_router.router(features_BD).experts_NK[:, 0]
        gates_BTE = one_hot_gates(experts_B, 3) * batch.marked_BT[:, batch.cut :, None]
        with mixture.layers.use(gates_BTE):
            return experts_B, decoder.prefill(batch.cut, batch.width)


def check(model: CodeModel, prompts: list[EncodedPrompt]) -> torch.Tensor:
    """One pass = two passes: choices, logits, and the cache, by decoding two tokens more."""
    mixture = model.mixture
    assert mixture is not None
    assert mixture.sequence_router is not None
    batch = left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)
    one, two = Decoder(model.model, batch), Decoder(model.model, batch)
    experts_B, expected_BV = in_two_passes(model, two)
    with torch.no_grad():
        read = read_and_route(mixture.layers, mixture.sequence_router, one)
        assert read is not None
        routing, found_BV = read
        assert torch.equal(routing.experts_NK[:, 0], experts_B)
        assert (found_BV - expected_BV).abs().max() <= TOLERANCE
        for gates_B1E in (one_hot_gates(experts_B, 3), one_hot_gates(experts_B, 3).roll(1, -1)):
            token_B = expected_BV.argmax(-1)
            with mixture.layers.use(gates_B1E):
                found_BV, expected_BV = one.step(token_B), two.step(token_B)
            assert (found_BV - expected_BV).abs().max() <= TOLERANCE
    return experts_B


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def model_type(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("target", ["mlp", "attention"])
def test_one_pass_is_two_passes(model_type: str, target: str, tmp_path: Path) -> None:
    model = mixture_on(tmp_path, model_type, target)
    for layer in range(LAYERS):
        routed = with_router(model, layer)
        experts_B = check(routed, _prompts(model))
        assert len(set(experts_B.tolist())) > 1, "or a row could take another row's copy, unseen"
        check(routed, _prompts(model)[:1])  # without pads


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> CodeModel:
    return mixture_on(tmp_path_factory.mktemp("mistral"), "mistral", "mlp")


@contextmanager
def counted_columns(model: CodeModel) -> Iterator[list[list[int]]]:
    """For each forward pass, the number of columns that each layer saw."""
    passes: list[list[int]] = []
    hooks = [
        model.model.base_model.register_forward_pre_hook(lambda module, args: passes.append([]))
    ]
    for layer in model.model.model.layers:
        hooks.append(
            layer.mlp.register_forward_pre_hook(
                lambda module, args: passes[-1].append(args[0].shape[1])
            )
        )
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def test_the_marker_is_read_once_for_each_expert_up_to_the_router(mistral: CodeModel) -> None:
    prompt = _prompts(mistral)[0]
    width, marker = len(prompt.input_ids), len(prompt.input_ids) - prompt.marker_start
    for layer, columns in ((0, [width] * 3), (1, [width + 2 * marker] * 2 + [width])):
        model = with_router(mistral, layer)
        with counted_columns(mistral) as passes:
            generate_batch(model, [prompt], Route("sequence"), max_new_tokens=1)
        assert passes == [columns]


@pytest.mark.parametrize("route", [Route("named", ("b",)), Route("none")])
def test_naming_the_expert_takes_one_pass_too(mistral: CodeModel, route: Route) -> None:
    with counted_columns(mistral) as passes:
        generate_batch(mistral, _prompts(mistral)[:1], route, max_new_tokens=1)
    assert len(passes) == 1


def test_a_narrow_window_takes_two_passes(tmp_path: Path) -> None:
    """Copies would push what a window should see out of it; the answer is the same."""
    model = with_router(mixture_on(tmp_path, "mistral", "mlp", sliding_window=24), 1)
    prompts = _prompts(model)
    batch = left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)
    assert model.mixture is not None
    assert model.mixture.sequence_router is not None
    decoder = Decoder(model.model, batch)
    assert read_and_route(model.mixture.layers, model.mixture.sequence_router, decoder) is None
    with counted_columns(model) as passes:
        routed = generate_batch(model, prompts, Route("sequence"), max_new_tokens=4)
    assert len(passes) == 5  # instruction, marker, three tokens
    experts = tuple(answer.choice.expert for answer in routed if answer.choice)
    named = generate_batch(model, prompts, Route("named", experts), max_new_tokens=4)
    assert [a.token_ids for a in routed] == [a.token_ids for a in named]


def test_copies_must_not_see_each_other(
    mistral: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong twin: with a causal mask alone, later copies read the earlier ones."""
    right = one_pass._mask

    def causal(batch, index_P, copy_P, dtype):  # type: ignore[no-untyped-def]
        return right(batch, torch.arange(len(index_P)), torch.full_like(copy_P, -1), dtype)

    monkeypatch.setattr(one_pass, "_mask", causal)
    with pytest.raises((AssertionError, IndexError)):
        check(with_router(mistral, 1), _prompts(mistral))
