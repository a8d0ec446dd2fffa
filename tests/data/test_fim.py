"""Fill-in-the-middle prompts, token by token."""

import pytest
from transformers import PreTrainedTokenizerFast

from codemoe.data.fim import FimShare, encode_fim, encode_middle, end_ids, fim_of
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


def test_samples_put_together_are_the_program() -> None:
    tokenizer = with_tokens(*FAMILIES[0])
    fim = fim_of(tokenizer)
    assert fim is not None
    code = "def add(a, b):\n    return a + b"
    for number in range(8):
        for spm in (False, True):
            example = encode_middle(tokenizer, fim, code, f"row{number}", spm)
            prompt = tokenizer.decode(example.input_ids[: example.completion_start])
            answer = tokenizer.decode(example.input_ids[example.completion_start : -1])
            first, second, third = FAMILIES[0]
            if spm:
                suffix, prefix = prompt.removeprefix(first + second).split(third)
            else:
                prefix, suffix = prompt.removeprefix(first).removesuffix(third).split(second)
            assert prefix + answer + suffix == code
            assert example.input_ids[-1] == tokenizer.eos_token_id
            assert example.marker_start == example.completion_start - 1


def test_the_share_of_samples_and_of_their_modes() -> None:
    modes = [FimShare(0.5, 0.25, 0).mode_of(f"row{i}") for i in range(4000)]
    assert modes.count(None) == pytest.approx(2000, abs=130)
    assert modes.count("spm") == pytest.approx(500, abs=90)
    assert FimShare(0.0, 0.5, 0).mode_of("row") is None
