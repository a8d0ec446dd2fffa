"""The recipe's base in small: its architecture and, where it is here, its tokenizer; random."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemoe.data.fim import ANY_FIM
from codemoe.data.prompt import format_prompt
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.models.reference import BaseReference, resolve
from codemoe.recipe import BaseConfig
from codemoe.smoke.reach import unreachable

_VOCABULARY = 1024  # of a tokenizer that stands in
_SPREAD = 0.05  # of random weights: large enough that layers differ


@dataclass(frozen=True)
class SmallBase:
    """`num_layers` is the recipe's base's, None where its config is not here."""

    notes: tuple[str, ...]
    num_layers: int | None
    own_tokenizer: bool


def write_small_base(
    base: BaseConfig, rows: Sequence[Row], seed: int, folder: Path, fim: bool = False
) -> SmallBase:
    """Save a random checkpoint of the base's architecture into `folder`. A tokenizer that stands in
    has fill-in-the-middle tokens for a recipe that asks for them (`fim`).

    Raises the real run's UserError for a base that is not there or cannot be used. A hub model that
    cannot be reached is known by its published config or its family.
    """
    import torch

    from codemoe.models.architectures import architecture_of
    from codemoe.models.load import load_tokenizer, new_model
    from codemoe.smoke.small_config import small_config
    from codemoe.train.tokenizer import train_tokenizer

    assert base.model is not None
    config, found, here = _config_of(base)
    architecture_of(config.model_type)
    if here:
        _check_weights(base.model)
    tokenizer = _own_tokenizer(base) if here else None
    own = tokenizer is not None
    if tokenizer is None:
        tokenizer = train_tokenizer([_text(row) for row in rows], _VOCABULARY)
        if fim:
            tokenizer.add_tokens(list(ANY_FIM), special_tokens=True)
    folder.mkdir(parents=True)
    tokenizer.save_pretrained(folder)
    # Some architectures' own tokenizer classes add tokens when they read another's file.
    small_config(config, len(tokenizer), {}).save_pretrained(folder)
    tokenizer = load_tokenizer(BaseReference(str(folder)))
    special = {name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    small = small_config(config, config.vocab_size if own else len(tokenizer), special)
    torch.manual_seed(seed)
    model = new_model(small, torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, _SPREAD)
    model.save_pretrained(folder)
    size = sum(p.numel() for p in model.parameters())
    notes = [
        f"the base is a {config.model_type} of {small.num_hidden_layers} layers, hidden size "
        f"{small.hidden_size}, {size:,} random weights; the architecture is {found}"
    ]
    if not own:
        notes.append(
            f"the tokenizer of {base.model} is not here: one trained on the samples stands in, so "
            "samples are longer than they will be and experts.train.max_length is not held to them"
        )
    return SmallBase(tuple(notes), config.num_hidden_layers if here else None, own)


def _config_of(base: BaseConfig) -> tuple[Any, str, bool]:
    """Its config, in words where from, and whether the base itself can be read."""
    from transformers import AutoConfig

    from codemoe.models.load import BROKEN, read_config
    from codemoe.plan.published import PUBLISHED
    from codemoe.smoke.families import family_of

    assert base.model is not None
    name = resolve(base.model)
    reference = BaseReference(base.model, base.revision)
    try:
        config = AutoConfig.from_pretrained(name, revision=base.revision)
        return config, f"that of {base.model}", True
    except BROKEN as error:
        keys = dict(PUBLISHED.get(base.model, {}))
        known = (keys.pop("model_type"), keys) if keys else family_of(base.model)
        if known is None or not unreachable(error):
            return read_config(reference), "", True  # raises what the real run says
    model_type, keys = known
    config = AutoConfig.for_model(model_type, **keys)
    return config, f"that of {base.model} as published (the hub cannot be reached)", False


def _check_weights(model: str) -> None:
    """Of a folder, that its safetensors are whole: headers only, however large they are."""
    from codemoe.models.storage.layout import read_layout

    folder = Path(resolve(model))
    if folder.is_dir():
        read_layout(folder)


def _own_tokenizer(base: BaseConfig) -> Any:
    """None where only the hub has it, and the hub cannot be reached."""
    from codemoe.models.load import load_tokenizer

    assert base.model is not None
    try:
        return load_tokenizer(BaseReference(base.model, base.revision))
    except UserError as error:
        if Path(resolve(base.model)).is_dir() or not unreachable(error):
            raise
        return None


def _text(row: Row) -> str:
    return format_prompt(row.text, row.language) + row.code
