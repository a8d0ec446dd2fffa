"""The one prompt format."""

import pytest

from codemoe.data.prompt import MARKER, encode_example, encode_prompt, format_prompt
from tests.models.tiny import tiny_tokenizer


def test_the_format() -> None:
    assert format_prompt("add", "cpp") == "### Task: add\n### Language: C++\n### Code:\n"
    assert format_prompt(" add \n") == "### Task: add\n### Code:\n"


@pytest.mark.parametrize("language", [None, "java"])
@pytest.mark.parametrize("text", ["add", "two\nlines", "### Code:\ninside", "trailing #", "ünï"])
def test_the_marker_is_where_the_instruction_ends(text: str, language: str | None) -> None:
    tokenizer = tiny_tokenizer()
    prompt = encode_prompt(tokenizer, text, language)
    tail = tokenizer.decode(prompt.input_ids[prompt.marker_start :])
    assert MARKER.endswith(tail.lstrip())
    assert tokenizer.decode(prompt.input_ids) == format_prompt(text, language)
    # A server that tokenises prompt and code as one string sees the same tokens.
    whole = tokenizer(format_prompt(text, language) + "def f(): pass")["input_ids"]
    assert whole[: len(prompt.input_ids)] == list(prompt.input_ids)


def test_an_example_is_prompt_then_code_then_end() -> None:
    tokenizer = tiny_tokenizer()
    example = encode_example(tokenizer, "add", "python", "\ndef f():\n    pass\n")
    prompt = encode_prompt(tokenizer, "add", "python")
    assert example.input_ids[: example.completion_start] == prompt.input_ids
    assert example.marker_start == prompt.marker_start
    assert tokenizer.decode(example.input_ids[example.completion_start : -1]) == (
        "def f():\n    pass"
    )
    assert example.input_ids[-1] == tokenizer.eos_token_id
