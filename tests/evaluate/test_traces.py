"""pytest tests/evaluate/test_traces.py: a trace shows the routing that generation did."""

from dataclasses import replace

import pytest
import torch

from codemoe.data.prompt import encode_prompt
from codemoe.data.rows import Row
from codemoe.evaluate.traces import NONE, token_choices, trace_rows
from codemoe.models.generate import Route, generate_batch, route_prompts
from codemoe.models.load import CodeModel, SequenceRouter, attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.routing.routers import LinearRouter
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

EXPERTS = ("python", "java")


@pytest.fixture(scope="module")
def moe(tmp_path_factory: pytest.TempPathFactory) -> CodeModel:
    folder = tmp_path_factory.mktemp("moe")
    base = save_checkpoint(tiny_model("mistral"), folder / "base")
    adapters = {n: random_adapter(base, folder / n, "mlp", 3, i) for i, n in enumerate(EXPERTS)}
    model = attach_experts(load_base(BaseReference(str(base))), adapters, "completion")
    generator = torch.Generator().manual_seed(0)
    router = LinearRouter(torch.randn(2, 64, generator=generator), torch.zeros(2))
    gates = tuple(LinearRouter(torch.randn(2, 32, generator=generator)) for _ in range(2))
    assert model.mixture is not None
    mixture = replace(model.mixture, sequence_router=SequenceRouter(1, router), token_routers=gates)
    return replace(model, mixture=mixture)


ROW = Row("1", "g", "python", "add two numbers", "def add(a, b):\n    return a + b", "s", "MIT")


@pytest.mark.parametrize("activation", ["completion", "all"])
def test_token_choices_are_the_load_of_generation(moe: CodeModel, activation: str) -> None:
    assert moe.mixture is not None
    moe = replace(moe, mixture=replace(moe.mixture, activation=activation))
    prompt = encode_prompt(moe.tokenizer, ROW.text, ROW.language)
    (answer,) = generate_batch(moe, [prompt], Route("token"), max_new_tokens=24)
    chosen = token_choices(moe, [*prompt.input_ids, *answer.token_ids], prompt.marker_start)
    first = prompt.marker_start if activation == "completion" else 0
    assert all(layers == [NONE, NONE] for layers in chosen[:first])
    assert not any(NONE in layers for layers in chosen[first:])
    # At the limit the last token was written and never read.
    end = -1 if answer.finish_reason == "length" else None
    read = chosen[len(prompt.input_ids) : end]
    assert answer.load_LE is not None
    for layer, load_E in enumerate(answer.load_LE):
        shares = [sum(row[layer] == e for row in read) / len(read) for e in range(2)]
        assert shares == pytest.approx(load_E)


def test_token_traces_hold_the_text(moe: CodeModel) -> None:
    sample = {"completion": ROW.code, "load": [[0.5, 0.5]] * 2, "confidence": None}
    found = trace_rows(moe, "token", [ROW], [sample], ["python"])
    assert found is not None
    (trace,) = found["traces"]
    assert "".join(trace["tokens"]).endswith(ROW.code)
    assert "".join(trace["tokens"][trace["answer"] :]) == ROW.code
    assert {0.5, 1.0} >= set(trace["sure_T"])
    assert len(trace["tokens"]) == len(trace["chosen_TL"]) == len(trace["sure_T"])


def test_sequence_traces_end_in_the_routers_choice(moe: CodeModel) -> None:
    prompt = encode_prompt(moe.tokenizer, ROW.text, ROW.language)
    (choice,) = route_prompts(moe, [prompt])
    sample = {"completion": "def add(a):", "load": None, "confidence": choice.confidence}
    found = trace_rows(moe, "sequence", [ROW], [sample], ["python"])
    assert found is not None
    (trace,) = found["traces"]
    at = trace["marker"] - 1
    assert EXPERTS[trace["chosen_TL"][at][0]] == choice.expert
    assert trace["sure_T"][at] == pytest.approx(choice.confidence, abs=1e-5)
    assert trace["chosen_TL"][at:] == [trace["chosen_TL"][at]] * (len(trace["tokens"]) - at)
    assert len(trace["tokens"]) == len(trace["chosen_TL"]) == len(trace["sure_T"])


def test_the_least_sure_answer_of_each_language_is_shown(moe: CodeModel) -> None:
    rows = [
        replace(ROW, id=name, language=language)
        for name, language in (("a", "python"), ("b", "python"), ("c", "java"), ("d", "java"))
    ]
    samples = [
        {"completion": text, "load": None, "confidence": sure}
        for text, sure in (("x = 1", 0.9), ("x = 1", 0.6), ("", 0.1), ("int x;", 0.8))
    ]
    found = trace_rows(moe, "sequence", rows, samples, ["python", "python", "java", "java"])
    assert found is not None
    assert [trace["id"] for trace in found["traces"]] == ["b", "d"]
    assert trace_rows(moe, "none", rows, samples, ["python"] * 4) is None
