"""Fill-in-the-middle prompts, token by token."""

import pytest
from transformers import PreTrainedTokenizerFast

from codemoe.data.fim import encode_fim, end_ids, fim_of
from tests.models.tiny import tiny_tokenizer

FAMILIES = [
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),
]


def with_tokens(*tokens: str) -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
    return tokenizer


@pytest.mark.parametrize("tokens", FAMILIES)
def test_prefix_suffix_middle(tokens: tuple[str, str, str]) -> None:
    tokenizer = with_tokens(*tokens)
    fim = fim_of(tokenizer)
    assert fim is not None
    prompt = encode_fim(tokenizer, fim, "def f(", "): pass")
    expected = [
        tokenizer.convert_tokens_to_ids(tokens[0]),
        *tokenizer("def f(", add_special_tokens=False)["input_ids"],
        tokenizer.convert_tokens_to_ids(tokens[1]),
        *tokenizer("): pass", add_special_tokens=False)["input_ids"],
        tokenizer.convert_tokens_to_ids(tokens[2]),
    ]
    assert list(prompt.input_ids) == expected
    assert prompt.marker_start == len(expected) - 1
    assert {expected[0], expected[-1]} < end_ids(tokenizer, fim)
    empty = encode_fim(tokenizer, fim, "", "x")
    assert empty.marker_start > 0  # a router has something to read


def test_a_tokenizer_without_such_tokens() -> None:
    assert fim_of(tiny_tokenizer()) is None
    assert fim_of(with_tokens("<fim_prefix>", "<fim_suffix>")) is None


def test_a_tokenizer_that_begins_texts_with_a_token() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = with_tokens(*FAMILIES[0])
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    fim = fim_of(tokenizer)
    assert fim is not None
    ids = encode_fim(tokenizer, fim, "a", "b").input_ids
    assert ids[:2] == (0, tokenizer.convert_tokens_to_ids("<fim_prefix>"))
    assert ids.count(0) == 1
