"""What is odd about an answer, whatever the metric says: empty, unreadable, looping, another
language, raw tokens of a data set, leftovers of a chat template, Markdown fences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.evaluate.codebleu.program import Program
from codemoe.evaluate.codebleu.source import has_xlcost_marks
from codemoe.evaluate.wrong_language import language_of

# An answer is unparsable when the grammar of the asked language cannot read this share of it ...
MAX_UNREADABLE = 0.2
# ... and looping when too few of its 4-grams are new. Programs of people have 0.45 and more.
MIN_DISTINCT = 0.4
MIN_DISTINCT_AT_END = 0.25
LOOP_TOKENS = 40  # shorter answers cannot be told
END_TOKENS = 80
_TEMPLATE = re.compile(r"</?s>|\[/?INST\]?|<\|[a-z_]+\|>|<<SYS>>|^### ", re.MULTILINE)
# A line that is no more than a fence and a language. (Lines of "~" underline titles in comments.)
_FENCE = re.compile(r"^[ \t]{0,3}`{3,}[ \t]*[\w+#.-]*[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """`language`: the one it is clearly in; None: unsure."""

    empty: bool
    unparsable: bool
    looping: bool
    language: str | None
    wrong_language: bool
    raw_tokens: bool  # layout as words: NEW_LINE, INDENT
    template: bool  # `</s>`, `[/INST]`
    fenced: bool  # "```python"


def facts_of(prediction: str, program: Program) -> AnswerFacts:
    """Look at one answer, given as text and as read in the language that was asked for."""
    found = language_of(prediction, asked=program.language, asked_program=program)
    is_unparsable = not program.is_empty and program.unreadable > MAX_UNREADABLE * program.size
    return AnswerFacts(
        empty=program.is_empty,
        unparsable=is_unparsable,
        looping=is_looping(program.tokens),
        language=found,
        wrong_language=found not in (None, program.language),
        raw_tokens=has_xlcost_marks(prediction),
        template=_TEMPLATE.search(prediction) is not None,
        fenced=_FENCE.search(prediction) is not None,
    )


def is_looping(tokens: Sequence[str]) -> bool:
    """Whether an answer says the same again and again, as a whole or at its end."""
    if len(tokens) < LOOP_TOKENS:
        return False
    if _distinct_share(tokens) < MIN_DISTINCT:
        return True
    return len(tokens) > END_TOKENS and _distinct_share(tokens[-END_TOKENS:]) < MIN_DISTINCT_AT_END


def _distinct_share(tokens: Sequence[str]) -> float:
    """Different 4-grams of all 4-grams."""
    grams = list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
    return len(set(grams)) / len(grams)
