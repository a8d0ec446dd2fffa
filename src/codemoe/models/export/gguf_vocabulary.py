"""A fast tokenizer in llama.cpp's terms: byte-level BPE, or SentencePiece's BPE."""

import json
import re
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from codemoe.errors import UserError

# llama.cpp knows pre-tokenizers by name; the key is what tokenizer.json has.
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id. `merges` are of byte-level BPE, `scores` of SentencePiece's."""

    model: str  # gpt2 | llama
    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    scores: tuple[float, ...]
    space_prefix: bool
    special_ids: dict[str, int]  # bos, eos, unk, pad
    adds_bos: bool
    chat_template: str | None

    def add_to(self, writer: Any) -> None:
        """Add all of it to a `gguf.GGUFWriter`."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.model == "gpt2":
            writer.add_token_merges(self.merges)
        else:
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.space_prefix)
        for name, token in self.special_ids.items():
            getattr(writer, f"add_{name}_token_id")(token)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(False)  # a prompt that ends would be answered by nothing
        if self.chat_template:
            writer.add_chat_template(self.chat_template)


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> Vocabulary:
    """Rows of the embeddings beyond the tokenizer's become unused tokens.

    Raises UserError for a tokenizer that llama.cpp has no equal of, as far as is known here.
    """
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    model = parts["model"]
    if model["type"] != "BPE":
        raise UserError(f"a {model['type']} tokenizer has no form in GGUF", "--to mixtral")
    sentencepiece = bool(model.get("byte_fallback"))
    pre = "default" if sentencepiece else _pre_tokenizer(parts["pre_tokenizer"])
    special = {token["id"]: bool(token["special"]) for token in parts["added_tokens"]}
    texts = {id_: text for text, id_ in tokenizer.get_vocab().items()}
    tokens, types = [], []
    for id_ in range(vocab_size):
        text = texts.get(id_)
        tokens.append(f"<unused {id_}>" if text is None else text)
        if text is None:
            types.append(_UNUSED)
        elif sentencepiece and text == model.get("unk_token"):
            types.append(_UNKNOWN)
        elif id_ in special:
            types.append(_CONTROL if special[id_] else _USER_DEFINED)
        else:
            types.append(_BYTE if sentencepiece and _BYTE_TOKEN.fullmatch(text) else _NORMAL)
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "unk", "pad")}
    template = getattr(tokenizer, "chat_template", None)
    return Vocabulary(
        model="llama" if sentencepiece else "gpt2",
        pre=pre,
        tokens=tuple(tokens),
        types=tuple(types),
        merges=tuple(m if isinstance(m, str) else " ".join(m) for m in model["merges"]),
        # SentencePiece joins the pair of the highest score; BPE the one that was learned first.
        scores=tuple(-float(id_) for id_ in range(vocab_size)),
        space_prefix=_prepends_space(parts),
        special_ids={name: id_ for name, id_ in ids.items() if id_ is not None},
        adds_bos=tokenizer("a")["input_ids"][0] == ids["bos"],
        chat_template=template if isinstance(template, str) else None,
    )


def _pre_tokenizer(part: dict[str, Any] | None) -> str:
    steps = part["pretokenizers"] if part and part["type"] == "Sequence" else [part or {}]
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0]["use_regex"] and not steps[0]["add_prefix_space"]:
        return "gpt-2"
    if kinds == ["Split", "ByteLevel"] and steps[0]["pattern"].get("Regex") == _LLAMA3_SPLIT:
        return "llama-bpe"
    raise UserError(
        f"the tokenizer splits text by {', '.join(map(str, kinds))} in a way that is not known to "
        "be one of llama.cpp's",
        "--to mixtral",
    )


def _prepends_space(parts: dict[str, Any]) -> bool:
    """SentencePiece's dummy prefix, as one of three places in tokenizer.json has it."""
    normalizer, splitter = parts["normalizer"] or {}, parts["pre_tokenizer"] or {}
    steps = normalizer.get("normalizers", [normalizer])
    return any(step.get("type") == "Prepend" for step in steps) or (
        splitter.get("type") == "Metaspace" and splitter.get("prepend_scheme") != "never"
    )
