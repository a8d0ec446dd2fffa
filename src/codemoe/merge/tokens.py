"""Tokenizers as files: vocabularies, special tokens, chat templates."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.merge.model import Model

FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
_SPECIAL = (
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "sep_token",
    "cls_token",
    "mask_token",
    "additional_special_tokens",
)


@dataclass(frozen=True)
class Tokenizer:
    """What a checkpoint folder says of its tokens; read when asked."""

    folder: Path

    @cached_property
    def vocabulary(self) -> dict[str, int] | None:
        """Ids by token, added ones included; None without a file that lists them."""
        path = self.folder / "tokenizer.json"
        if path.is_file():
            tree = _json(path)
            try:
                listed = tree["model"]["vocab"]
                if isinstance(listed, list):  # Unigram: [token, score], in order
                    listed = {entry[0]: number for number, entry in enumerate(listed)}
                added = {entry["content"]: entry["id"] for entry in tree.get("added_tokens", [])}
                return {str(k): int(v) for k, v in (listed | added).items()}
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UserError(f"{path} is no tokenizer: {error!r}") from None
        plain = self.folder / "vocab.json"
        if plain.is_file():
            return {str(k): int(v) for k, v in _json(plain).items()}
        return None

    @cached_property
    def special(self) -> dict[str, Any]:
        """The special tokens by role, and the ids that end or pad a text."""
        found: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            path = self.folder / name
            tree = _json(path) if path.is_file() else {}
            for role in _SPECIAL:
                if tree.get(role):
                    found[role] = _content(tree[role])
        return found

    @cached_property
    def template(self) -> str | None:
        """The chat template, from whichever of its places."""
        plain = self.folder / "chat_template.jinja"
        if plain.is_file():
            return _text(plain)
        for name in ("chat_template.json", "tokenizer_config.json"):
            path = self.folder / name
            if path.is_file() and (found := _json(path).get("chat_template")):
                return found if isinstance(found, str) else json.dumps(found, sort_keys=True)
        return None

    @property
    def exists(self) -> bool:
        names = ("tokenizer.json", "tokenizer.model", "vocab.json")
        return any((self.folder / name).is_file() for name in names)

    def same_vocabulary(self, other: "Tokenizer") -> bool:
        """Quick where the files are the same; a folder without a tokenizer has anyone's."""
        if not (self.exists and other.exists):
            return True
        for name in ("tokenizer.json", "tokenizer.model"):
            mine, theirs = self.folder / name, other.folder / name
            if mine.is_file() and theirs.is_file() and mine.read_bytes() == theirs.read_bytes():
                return True
        if self.vocabulary is None or other.vocabulary is None:
            return False
        return self.vocabulary == other.vocabulary


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(_text(path))
    except ValueError as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds no JSON object")
    return tree


def _content(token: Any) -> Any:
    if isinstance(token, dict):
        return token.get("content")
    return [_content(one) for one in token] if isinstance(token, list) else token


def rows_of(model: Model) -> int:
    """How many tokens a model's embedding has room for."""
    name = model.embedding
    return model.tensors[name].shape[0] if name else int(model.config.get("vocab_size", 0))


def copy_files(
    owner: Model, added: Sequence[str], template_of: Model | None, template: str | None, out: Path
) -> None:
    """The owner's tokenizer and generation settings, with added tokens and another template if
    asked."""
    for name in FILES:
        if (owner.folder / name).is_file():
            shutil.copyfile(owner.folder / name, out / name)
    if added:
        from tokenizers import Tokenizer as Fast

        fast = Fast.from_file(str(owner.folder / "tokenizer.json"))
        fast.add_tokens(list(added))
        fast.save(str(out / "tokenizer.json"))
    if template_of is not None and template_of is not owner:
        template = Tokenizer(template_of.folder).template
    if template is not None or (template_of is not None and template_of is not owner):
        _set_template(out, template)


def _set_template(out: Path, template: str | None) -> None:
    """One place for it, so that no older one is read instead."""
    (out / "chat_template.json").unlink(missing_ok=True)
    (out / "chat_template.jinja").unlink(missing_ok=True)
    config = out / "tokenizer_config.json"
    if config.is_file():
        tree = _json(config)
        if tree.pop("chat_template", None) is not None:
            config.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    if template is not None:
        (out / "chat_template.jinja").write_text(template, encoding="utf-8")
