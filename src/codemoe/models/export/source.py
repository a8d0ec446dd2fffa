"""What is exported: a mixture's experts, gates and base, without loading the base's weights."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, PreTrainedConfig

from codemoe.errors import UserError
from codemoe.models.adapters import load_expert
from codemoe.models.architectures import architecture_of
from codemoe.models.full_mlps import Expert, FullMlps
from codemoe.models.load import (
    BROKEN,
    BaseReference,
    expert_folders,
    find_mixture,
    read_mixture,
    resolve,
    told,
)
from codemoe.models.model_card import hub_id
from codemoe.models.routers_file import ROUTER_FILE, SequenceRouter, TokenRouters, load_routers
from codemoe.models.storage.hub import snapshot
from codemoe.routing.routers import LinearRouter

_TOKENIZER_FILES = (
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


@dataclass(frozen=True)
class Source:
    """A mixture on disk. `factors` are in the order of `experts`: float32 low-rank factors, or the
    whole weights of full-MLP experts, by projection."""

    moe_dir: Path
    reference: BaseReference
    base_dir: Path
    config: PreTrainedConfig
    experts: tuple[str, ...]
    adapters: tuple[Path, ...]
    factors: tuple[Expert, ...]
    expert_of_language: dict[str, str]
    activation: str  # the mixture's own: all | completion
    sequence_router: SequenceRouter | None
    token_routers: TokenRouters
    fitted: bool  # False: the gates are those of `moe/`, which nothing has fitted

    @property
    def num_layers(self) -> int:
        return int(self.config.num_hidden_layers)

    @property
    def gates(self) -> list[LinearRouter]:
        """The token gates of the layers that have one."""
        return [gate for gate in self.token_routers if gate is not None]

    @property
    def full(self) -> tuple[str, ...]:
        """Experts that are whole MLPs; with one of them, the mixture mixes outputs."""
        pairs = zip(self.experts, self.factors, strict=True)
        return tuple(name for name, one in pairs if isinstance(one, FullMlps))

    @property
    def top_k(self) -> int:
        """Experts that the token gates choose for a token."""
        return max((int(getattr(gate, "top_k", 1)) for gate in self.gates), default=1)

    @property
    def hub_id(self) -> str | None:
        """The base's name on the hub; None for a folder."""
        return hub_id(self.reference)

    @property
    def run_dir(self) -> Path | None:
        """The run that the mixture was made in, when it still lies there."""
        moe_dir = self.moe_dir.resolve()
        return moe_dir.parent if moe_dir.name == "moe" else None

    def mlp_path(self, layer: int) -> str:
        """Where a layer keeps its MLP, whose input the routers read."""
        row = architecture_of(self.config.model_type)
        return f"{row.layers}.{layer}.{row.mlp}"

    def outside_mlp(self) -> list[str]:
        """Projections that experts adapt but that no MLP holds, such as those of attention."""
        mlps = tuple(f"{self.mlp_path(layer)}." for layer in range(self.num_layers))
        paths = {path for expert in self.factors for path in expert}
        return sorted(path for path in paths if not path.startswith(mlps))


def open_source(argument: str) -> Source:
    """A run, its `moe/` or its `router/`, ready to be exported.

    Raises UserError for anything that is no mixture, and for one whose parts do not belong
    together.
    """
    found = find_mixture(Path(argument))
    if found is None:
        raise UserError(
            f"{argument} is no mixture (looked for a run directory, moe/ or router/)",
            "export a finished run: codemoe export runs/NAME OUT --to mixtral",
        )
    moe_dir, router_file = found
    reference, description = read_mixture(moe_dir)
    base_dir = _base_folder(reference)
    try:
        config = AutoConfig.from_pretrained(base_dir)
    except BROKEN as error:
        raise UserError(f"cannot read the config of the base {base_dir}: {told(error)}") from None
    entries = description["experts"]
    adapters = tuple(expert_folders(moe_dir, description, router_file).values())
    sequence, token_routers = load_routers(
        router_file,
        [entry["name"] for entry in entries],
        config.num_hidden_layers,
        config.hidden_size,
    )
    return Source(
        moe_dir=moe_dir,
        reference=reference,
        base_dir=base_dir,
        config=config,
        experts=tuple(entry["name"] for entry in entries),
        adapters=adapters,
        factors=tuple(load_expert(folder) for folder in adapters),
        expert_of_language=description["expert_of_language"],
        activation=description["activation"],
        sequence_router=sequence,
        token_routers=token_routers,
        fitted=router_file != moe_dir / ROUTER_FILE or sequence is not None,
    )


def _base_folder(reference: BaseReference) -> Path:
    """The base as a folder: itself, or the hub's snapshot of it (downloaded where it is absent)."""
    name = resolve(reference.model)
    if Path(name).is_dir():
        return Path(name)
    return snapshot(name, reference.revision, "the mixture's base")


def copy_tokenizer(base_dir: Path, folder: Path) -> None:
    """The base's tokenizer and generation settings, unchanged."""
    for name in _TOKENIZER_FILES:
        if (base_dir / name).is_file():
            shutil.copyfile(base_dir / name, folder / name)
