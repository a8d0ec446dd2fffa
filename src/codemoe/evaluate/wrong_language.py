"""Which language a piece of code is in, to count answers in another language than the one asked.

Words that few languages use speak for those; the grammars of the likeliest then read the code,
and what one could not read counts against its language. Code that fits two languages alike
(`x = 1`), prose and number strings are nobody's: None. Deterministic.
"""

from collections.abc import Mapping, Sequence

from codemoe.evaluate.codebleu.program import Program
from codemoe.evaluate.fenced import parts_of
from codemoe.evaluate.language_words import CONTAINED, Evidence, evidence_in
from codemoe.evaluate.reading_cost import Reading
from codemoe.languages import LANGUAGES, PROSE, get_language

CANDIDATES = tuple(LANGUAGES)

WORD_WEIGHT = 3.0  # a share of 10 % marks outweighs 30 % of unreadable text
MARGIN = 0.03  # a smaller lead over the next language is no decision
BENEFIT = 0.08  # ... nor is one over the language that was asked for
SURE = 1.25  # this many times another's words are enough without reading the code
ENOUGH = 0.6  # share of another's words that lets code be in the asked language, which reads it
MAX_COST = 0.25  # above it only marks can speak for a language
MIN_MARKS = 3  # ... how many must
MAX_MARKED_COST = 0.6  # ... and above this nothing can
MIN_TOKENS = 4  # shorter text says nothing
FEW_WORDS = 0.02  # share of words: text with fewer, half of which cannot be read, is no code
HOPELESS = 0.5
LIKELY = 0.4  # share of the likeliest language's words below which none is considered
FEW = 5  # among so many candidates and fewer text without any words may be one's
MAX_BYTES = 6_000  # of a longer answer the first part is looked at


def language_of(
    code: str,
    candidates: Sequence[str] = CANDIDATES,
    *,
    asked: str | None = None,
    asked_program: Program | None = None,
) -> str | None:
    """The language of a program or snippet, or None when it is unsure.

    With the language that was asked for, that one has the benefit of the doubt: another must be
    clearly likelier, and what it contains (C in C++, JavaScript in TypeScript) is it. Where prose
    was asked for, nothing is told: words are read as some language's too easily.
    `asked_program` is the code read as that language, where the caller has it. Of an answer in
    Markdown the fenced code is looked at, and the rest where that tells nothing.
    Raises UserError for an unknown candidate or one without its grammar installed.
    """
    if asked is not None and get_language(asked) is PROSE:
        return None
    named = candidates if asked is None else (*candidates, asked)
    names = tuple(dict.fromkeys(get_language(name).name for name in named))
    asked = None if asked is None else get_language(asked).name
    parts = parts_of(code)
    if len(parts) > 1:
        asked_program = None  # read with all in it
    found = (_language_of(part, names, asked, asked_program) for part in parts)
    return next((language for language in found if language), None)


def _language_of(
    code: str, names: tuple[str, ...], asked: str | None, asked_program: Program | None
) -> str | None:
    is_whole = len(code) <= MAX_BYTES
    code = code[:MAX_BYTES]
    words = evidence_in(code, names)
    best = max(one.weight for one in words.values())
    if asked is not None:
        own = words[asked].weight
        others = max((words[name].weight for name in names if name != asked), default=0.0)
        if own >= max(SURE * others, MIN_MARKS):
            return asked
        is_read = asked_program is not None and not asked_program.unreadable
        if is_read and own >= ENOUGH * others > 0 and words[asked].tokens >= MIN_TOKENS:
            return asked
    if len(names) > FEW and not best:
        return None
    likely = {
        name: one
        for name, one in words.items()
        if one.tokens >= MIN_TOKENS
        and not one.is_prose
        and (one.weight >= LIKELY * best or name == asked)
    }
    if any(one.own >= MIN_MARKS for one in likely.values()):
        likely = {name: one for name, one in likely.items() if one.own or name == asked}
    known = asked_program.unreadable if asked_program is not None and is_whole else None
    return _Question(code, likely, asked, known).answer()


def is_wrong_language(code: str, asked: str, candidates: Sequence[str] = CANDIDATES) -> bool:
    """Whether code is clearly in another language than the one asked for.

    Empty, unreadable and ambiguous answers are not: other figures count those.
    """
    return language_of(code, candidates, asked=asked) not in (None, get_language(asked).name)


class _Question:
    """Which of some languages it is. The grammars read until no further reading can change that.

    What speaks for a language is the share of its words less the cost of reading the text, of
    which bounds are known.
    """

    def __init__(
        self, code: str, words: Mapping[str, Evidence], asked: str | None, unreadable: int | None
    ) -> None:
        self.words = words
        self.asked = asked if asked in words else None
        self.readings = {
            name: Reading(
                code,
                name,
                unreadable if name == asked else None,
                give_up=HOPELESS if one.share < FEW_WORDS else 1.0,
            )
            for name, one in words.items()
        }

    def answer(self) -> str | None:
        while self.words:
            best = max(self.words, key=lambda name: (self._least(name), name))
            if self._is_asked_for():
                return self.asked
            near = self._near(best)
            if self._is_settled(best, near):
                return self._choice(best, near)
            open_ones = [name for name in self.words if not self.readings[name].is_done]
            likeliest = max(open_ones, key=lambda name: (self._most(name), name))
            self.readings[likeliest].go_on()
        return None

    def _least(self, name: str) -> float:
        return WORD_WEIGHT * self.words[name].share - self.readings[name].highest

    def _most(self, name: str) -> float:
        return WORD_WEIGHT * self.words[name].share - self.readings[name].lowest

    def _is_trusted(self, name: str) -> bool | None:
        """Whether a language may be the answer; None: open."""
        most = MAX_COST if self.words[name].own < MIN_MARKS else MAX_MARKED_COST
        reading = self.readings[name]
        if reading.highest <= most:
            return True
        return False if reading.lowest > most else None

    def _lead(self, name: str) -> float:
        """What may speak more for a language than for the asked one, and is no decision."""
        if self.asked is None:
            return BENEFIT
        words, asked = self.words[name], self.words[self.asked]
        return MARGIN if words.beside(asked) >= MIN_MARKS and not asked.beside(words) else BENEFIT

    def _is_asked_for(self) -> bool:
        """Whether the asked language can lead, and no other by more than it may."""
        if self.asked is None or not self._is_trusted(self.asked):
            return False
        least = self._least(self.asked)
        others = [name for name in self.words if name != self.asked]
        return all(self._most(name) - self._lead(name) <= least for name in others)

    def _near(self, best: str) -> list[str]:
        """Others that may be as likely as the likeliest."""
        least = self._least(best)
        return [
            name
            for name in self.words
            if name != best
            and self._most(name) > least - (self._lead(best) if name == self.asked else MARGIN)
        ]

    def _is_settled(self, best: str, near: Sequence[str]) -> bool:
        """Whether no further reading can change which languages are near the best, and whether
        those may be the answer."""
        is_open = any(not self.readings[name].is_done for name in (*near, best))
        if is_open and (near or self._is_trusted(best) is None):
            return False
        if self.asked is None or self.words[best].own:
            return True
        asked = self.readings[self.asked]
        return asked.is_done or asked.lowest > 0

    def _choice(self, best: str, near: Sequence[str]) -> str | None:
        asked = self.asked
        if asked is not None:
            if not self.words[best].own and not self.readings[asked].highest:
                return asked  # which reads it all; and nothing in it is another's alone
            if asked in (*near, best) and self._is_trusted(asked):
                return asked
        rivals = [name for name in near if name != asked]
        # It is none of the asked language, even where two others are as likely.
        is_one = asked is not None or all(_is_relative(name, best) for name in rivals)
        if not self._is_trusted(best) or not is_one:
            return None
        found = next((name for name in rivals if CONTAINED.get(name) == best), best)
        return asked if asked is not None and CONTAINED.get(found) == asked else found


def _is_relative(one: str, other: str) -> bool:
    return CONTAINED.get(one) == other or CONTAINED.get(other) == one
