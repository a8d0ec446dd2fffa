"""pytest tests/evaluate/test_cost.py: parameters and FLOPs, counted by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from codemoe.evaluate.cost import Size, count, size_of
from codemoe.models.load import CodeModel

# Vocabulary 10, hidden size 4: an embedding of 40, one square matrix of 16, an output of 40.
VOCABULARY, HIDDEN = 10, 4


class _Tiny(nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.inner = nn.Linear(HIDDEN, HIDDEN, bias=False)
        if not tied:
            self.head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
        self.config = SimpleNamespace(tie_word_embeddings=tied)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding


def _size(model: nn.Module) -> Size:
    return size_of(CodeModel(model, None), "none")  # type: ignore[arg-type]


def test_look_ups_multiply_nothing_unless_they_are_the_output() -> None:
    assert _size(_Tiny(tied=False)) == Size(96, 96, 2 * (16 + 40))
    assert _size(_Tiny(tied=True)) == Size(56, 56, 2 * (16 + 40))


def test_packed_weights_are_counted_as_weights() -> None:
    packed = nn.Parameter(torch.zeros(8, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = SimpleNamespace(shape=torch.Size([4, 4]))  # type: ignore[attr-defined]
    assert count(packed) == 16
    model = _Tiny(tied=False)
    model.inner.weight = packed
    assert _size(model).total_parameters == 96


def test_four_bit_layers_of_bitsandbytes() -> None:
    bnb = pytest.importorskip("bitsandbytes")
    layer = bnb.nn.Linear4bit(64, 32, bias=False, quant_type="nf4").to("cpu")
    weight = layer.weight
    if weight.dtype != torch.uint8:
        pytest.skip("this bitsandbytes does not quantise on a CPU")
    assert weight.numel() == 64 * 32 // 2
    assert count(weight) == 64 * 32
