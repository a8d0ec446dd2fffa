"""Fill in the middle: the tokens that models were trained with, prompts and samples made of them.

(arXiv:2207.14255.) PSM has the prefix before the suffix, which is what prompts are. SPM has the
suffix first and the prefix as the beginning of the middle, so that both ends meet. A model can do
it when its tokenizer has a row's three tokens.
"""

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemoe.data.prompt import EncodedPrompt, Example, encode_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Fim:
    """The tokens before the prefix, before the suffix and before the middle; and those that end a
    middle, where the end token is not the only one."""

    prefix: str
    suffix: str
    middle: str
    ends: tuple[str, ...] = ()


_ROWS = (
    # StarCoder, StarCoder2, Granite
    Fim("<fim_prefix>", "<fim_suffix>", "<fim_middle>", ("<file_sep>",)),
    # SantaCoder
    Fim("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    # Qwen2.5-Coder, CodeGemma
    Fim(
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        ("<|fim_pad|>", "<|file_sep|>", "<|file_separator|>", "<|repo_name|>"),
    ),
    # CodeLlama
    Fim("▁<PRE>", "▁<SUF>", "▁<MID>", ("▁<EOT>",)),
    # DeepSeek-Coder
    Fim("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)

ANY_FIM = (_ROWS[0].prefix, _ROWS[0].suffix, _ROWS[0].middle)


def fim_of(tokenizer: "PreTrainedTokenizerBase") -> Fim | None:
    """The row of this tokenizer; None where it has no such tokens."""
    known = tokenizer.get_vocab()
    return next((row for row in _ROWS if {row.prefix, row.suffix, row.middle} <= set(known)), None)


def encode_fim(
    tokenizer: "PreTrainedTokenizerBase", fim: Fim, prefix: str, suffix: str, spm: bool = False
) -> EncodedPrompt:
    """The prompt for what stands between them. The expert takes over at its last token, so that a
    router has read both."""

    def plain(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    special = tokenizer.convert_tokens_to_ids([fim.prefix, fim.suffix, fim.middle])
    assert isinstance(special, list)
    first, second, third = special
    bos = tokenizer.bos_token_id
    # Only where this tokenizer begins every text with it.
    lead = [bos] if list(tokenizer("a")["input_ids"][:1]) == [bos] else []
    if spm:
        ids = (*lead, first, second, *plain(suffix), third, *plain(prefix))
    else:
        ids = (*lead, first, *plain(prefix), second, *plain(suffix), third)
    return EncodedPrompt(ids, len(ids) - 1)


@dataclass(frozen=True)
class FimShare:
    """How many samples are to be filled in the middle, and which share of those is SPM."""

    rate: float
    spm_rate: float
    seed: int

    def mode_of(self, name: str) -> str | None:
        """`psm`, `spm`, or None for a sample that stays as it is; the same in every epoch."""
        rng = random.Random(f"fim:{self.seed}:{name}")
        if rng.random() >= self.rate:
            return None
        return "spm" if rng.random() < self.spm_rate else "psm"


def encode_middle(
    tokenizer: "PreTrainedTokenizerBase", fim: Fim, code: str, name: str, spm: bool
) -> Example:
    """Code with a span of characters taken out (both ends drawn, from `name` alone) as a sample
    whose answer is the span. There is no instruction: an editor sends none."""
    code = code.strip("\n")
    rng = random.Random(f"span:{name}")
    start, end = sorted(rng.randint(0, len(code)) for _ in range(2))
    prompt = encode_fim(tokenizer, fim, code[:start], code[end:], spm)
    return encode_answer(tokenizer, prompt, code[start:end], strip=False)


def end_ids(tokenizer: "PreTrainedTokenizerBase", fim: Fim) -> frozenset[int]:
    """Tokens that end a middle: those of the row that this tokenizer has, and a next prompt's."""
    known = tokenizer.get_vocab()
    names = (fim.prefix, fim.suffix, fim.middle, *fim.ends)
    return frozenset(known[name] for name in names if name in known)
