"""The table: shapes of both kinds of projections, and what a decoder without a row is told."""

import pytest
from torch import nn
from transformers import OPTConfig, OPTForCausalLM
from transformers.pytorch_utils import Conv1D

from codemoe.errors import UserError
from codemoe.models.architectures import (
    architecture_of,
    is_transposed,
    layers_of,
    projection_shape,
    target_modules,
)


def test_shapes_are_inputs_then_outputs() -> None:
    assert projection_shape(nn.Linear(3, 5)) == (3, 5)
    assert projection_shape(Conv1D(5, 3)) == (3, 5)  # its own order is the other
    assert projection_shape(nn.LayerNorm(3)) is None
    assert is_transposed(Conv1D(5, 3))
    assert not is_transposed(nn.Linear(3, 5))


def test_an_unknown_decoder_is_described() -> None:
    config = OPTConfig(
        vocab_size=40,
        hidden_size=16,
        ffn_dim=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=32,
        word_embed_proj_dim=16,
    )
    model = OPTForCausalLM(config)
    for call in (lambda: target_modules("opt", "mlp", model), lambda: layers_of(model)):
        with pytest.raises(UserError) as caught:
            call()
        message = str(caught.value)
        assert "'opt'" in message
        assert "known: codegen, gemma" in message
        assert "'model.decoder.layers'" in message
        assert "self_attn (k_proj 16 -> 16, " in message
        assert "itself (fc1 16 -> 24, fc2 24 -> 16)" in message
        assert "architectures.py" in message


def test_an_unknown_type_without_a_model() -> None:
    with pytest.raises(UserError, match="known: codegen"):
        architecture_of("opt")
