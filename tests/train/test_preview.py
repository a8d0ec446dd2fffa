"""What preview shows is what training reads: token for token, mask for mask."""

import json
from collections.abc import Callable
from pathlib import Path

from codemoe.data.prompt import MARKER
from codemoe.train.preview import decoded_spans
from tests.conftest import Finished
from tests.models.tiny import tiny_tokenizer

FAST = Path(__file__).parents[2] / "recipes" / "demo-fast.yaml"


def test_spans_are_the_text_cut_where_the_kind_changes() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer("add two numbers", add_special_tokens=False)["input_ids"]
    kinds = [(False, False)] * 2 + [(True, True)] * (len(ids) - 2)
    spans = list(decoded_spans(ids, kinds, tokenizer))
    assert "".join(span.text for span in spans) == tokenizer.decode(ids)
    assert [span.tokens for span in spans] == [2, len(ids) - 2]
    assert [span.learned for span in spans] == [False, True]


def test_the_command_shows_the_prompt_unlearned_and_the_answer_learned(
    codemoe: Callable[..., Finished],
) -> None:
    arguments = ("languages=[python]", "data.sources.0.tasks=60", "--samples", "1", "--json")
    done = codemoe("preview", FAST, "base.model=builtin", *arguments)
    assert done.code == 0, done.err
    expert = json.loads(done.out)["experts"][0]
    spans = [span for sample in expert["samples"] for span in sample["spans"]]
    learned = "".join(span["text"] for span in spans if span["learned"])
    unlearned = "".join(span["text"] for span in spans if not span["learned"])
    assert MARKER in unlearned
    assert "def " in learned
    assert MARKER not in learned
