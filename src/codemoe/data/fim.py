"""Fill in the middle: the tokens that models were trained with, and prompts made of them.

(arXiv:2207.14255; prefix before suffix, as its PSM mode.) A model can do it when its tokenizer has
a row's three tokens.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemoe.data.prompt import EncodedPrompt

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


def fim_of(tokenizer: "PreTrainedTokenizerBase") -> Fim | None:
    """The row of this tokenizer; None where it has no such tokens."""
    known = tokenizer.get_vocab()
    return next((row for row in _ROWS if {row.prefix, row.suffix, row.middle} <= set(known)), None)


def encode_fim(
    tokenizer: "PreTrainedTokenizerBase", fim: Fim, prefix: str, suffix: str
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
    ids = (*lead, first, *plain(prefix), second, *plain(suffix), third)
    return EncodedPrompt(ids, len(ids) - 1)


def end_ids(tokenizer: "PreTrainedTokenizerBase", fim: Fim) -> frozenset[int]:
    """Tokens that end a middle: those of the row that this tokenizer has, and a next prompt's."""
    known = tokenizer.get_vocab()
    names = (fim.prefix, fim.suffix, fim.middle, *fim.ends)
    return frozenset(known[name] for name in names if name in known)
