"""Streamed text: whole characters, stop strings held back, nothing lost."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from codemoe.models.pieces import Pieces
from tests.models.tiny import tiny_tokenizer

TEXT = (
    "def gr\u00fc\u00dfe(): # \u4f60\u597d \U0001f600\U0001f469\u200d\U0001f4bb\n    return 'ok'\n"
)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Writes a space before each word but the first, as SentencePiece models do."""
    vocabulary = {f"\u2581{word}": i for i, word in enumerate(["a", "b", "stop", "c"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary | {"<unk>": 9}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def streamed(tokenizer: object, ids: list[int], stops: tuple[str, ...] = ()) -> list[str]:
    pieces = Pieces(tokenizer, stops)
    sent = []
    for token in ids:
        sent.append(pieces.push(token))
        if pieces.stopped:
            break
    sent.append(pieces.finish())
    assert pieces.shown == sum(map(len, sent))
    return sent


def test_a_character_of_several_tokens_comes_whole() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(TEXT)["input_ids"]
    sent = streamed(tokenizer, ids)
    assert "".join(sent) == TEXT
    assert all("\ufffd" not in piece for piece in sent)
    assert "" in sent  # some characters do take several tokens
    # Half a character at the end is not swallowed.
    for end in range(1, len(ids)):
        assert "".join(streamed(tokenizer, ids[:end])) == tokenizer.decode(ids[:end])


def test_spaces_between_words_survive() -> None:
    tokenizer = word_tokenizer()
    assert "".join(streamed(tokenizer, [0, 1, 3, 0])) == tokenizer.decode([0, 1, 3, 0]) == "a b c a"
    assert streamed(tokenizer, [0, 2, 1], (" stop",)) == ["a", "", ""]


@pytest.mark.parametrize("seed", range(30))
def test_any_tokens_with_any_stop_strings(seed: int) -> None:
    """The same as decoding all and cutting at the first stop string, which no piece overlaps."""
    rng = random.Random(seed)
    tokenizer = tiny_tokenizer()
    ids = [rng.randrange(3, 299) for _ in range(40)]
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    stops = []
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(whole) - 4)
        stops.append(whole[at : at + rng.randrange(1, 5)])
    stops.append("never there")
    ends = [at for stop in stops if (at := whole.find(stop)) >= 0]
    # Several stops may end in one token; the earliest place is where the text ends.
    expected = whole[: min(ends)] if ends else whole
    assert "".join(streamed(tokenizer, ids, tuple(stops))) == expected


def test_a_false_start_is_given_back() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer("ababac")["input_ids"]
    sent = streamed(tokenizer, ids, ("abac",))
    assert "".join(sent) == "ab"
    assert "".join(streamed(tokenizer, ids[:-1], ("abac",))) == "ababa"


def test_where_tokens_begin() -> None:
    tokenizer = tiny_tokenizer()
    pieces = Pieces(tokenizer)
    ids = tokenizer("a\u00fc = 1")["input_ids"]
    text = "".join(pieces.push(token) for token in ids) + pieces.finish()
    assert text == "a\u00fc = 1"
    assert pieces.starts[0] == 0
    assert pieces.starts == sorted(pieces.starts)
    assert pieces.starts[1:3] == [1, 1]  # the two bytes of one character
