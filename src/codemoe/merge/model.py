"""A model that takes part in a merge: its settings and where its tensors lie, no weights read."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.merge.sources import OnDisk, Source, WithLora
from codemoe.models.storage.adapter import CONFIG, Factors, read_factors
from codemoe.models.storage.dtypes import FLOATS
from codemoe.models.storage.full_expert import expert_base, full_layout, is_full
from codemoe.models.storage.hub import snapshot
from codemoe.models.storage.layout import Stored, read_layout
from codemoe.models.storage.read import Files

# Computed from the config; old Llama and GPT-2 checkpoints store it all the same.
_COMPUTED = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.masked_bias")
HEAD = "lm_head.weight"
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")


@dataclass(frozen=True)
class Model:
    """One input. `tensors` leaves out what is computed from the config."""

    text: str  # as the recipe names it
    folder: Path
    lora: Path | None
    config: Mapping[str, Any]
    tensors: Mapping[str, Stored]
    factors: Mapping[str, Factors] = field(default_factory=dict)  # by tensor name

    @cached_property
    def layers(self) -> tuple[str, int]:
        """What comes before a layer's number in names ("model.layers."), and how many there are."""
        count = first_of(self.config, "num_hidden_layers", "n_layer", "num_layers", default=0)
        wanted = set(range(count)) if isinstance(count, int) else set()
        found: dict[str, set[int]] = {}
        for name in self.tensors:
            for match in re.finditer(r"(?<=\.)\d+(?=\.)", name):
                found.setdefault(name[: match.start()], set()).add(int(match[0]))
        fitting = [prefix for prefix, numbers in found.items() if numbers == wanted]
        if not fitting:
            raise UserError(
                f"{self.text}: config.json says {count} layers, but no tensors are numbered so",
                "check that config.json and the weights belong together",
            )
        return min(fitting, key=len), count

    def layer_of(self, name: str) -> int | None:
        """The layer a tensor belongs to; None outside of the layers."""
        prefix, _ = self.layers
        number = name.removeprefix(prefix).partition(".")[0]
        return int(number) if name.startswith(prefix) and number.isdigit() else None

    @property
    def embedding(self) -> str | None:
        return next((n for n in self.tensors if n.endswith(_EMBEDDINGS)), None)

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding, under one name."""
        return HEAD not in self.tensors and self.embedding is not None

    def source(self, files: Files, name: str) -> Source | None:
        """A tensor by name; the head of a tied model is its embedding."""
        if name == HEAD and self.tied:
            name = self.embedding or name
        stored = self.tensors.get(name)
        if stored is None:
            return None
        source: Source = OnDisk(files, stored)
        factors = self.factors.get(name)
        if factors is None:
            return source
        return WithLora(source, factors, f"{self.lora}: {name}")


def first_of(config: Mapping[str, Any], *keys: str, default: Any = None) -> Any:
    """The first of several names of one setting that a config has."""
    return next((config[key] for key in keys if config.get(key) is not None), default)


def open_model(text: str, beside: Path, base: "Model | None" = None) -> Model:
    """A model as recipes write it: FOLDER or hub id, each with @REVISION and +ADAPTER if wanted.

    A folder that holds only an adapter stands on `base`, or on the base it names itself. Relative
    folders are looked up from here, then from `beside`. Raises UserError for what is not there, is
    not in safetensors, or does not fit together.
    """
    name, adapter_name = _parts(text, beside)
    folder = find(name, beside)
    adapter_folder = find(adapter_name, beside) if adapter_name else None
    alone = not adapter_name and not (folder / "config.json").is_file()
    if alone and ((folder / CONFIG).is_file() or is_full(folder)):
        adapter_folder = folder
        folder = base.folder if base else find(_base_of(folder), beside)
    config = read_config(folder)
    stored = read_layout(folder)
    tensors = {n: s for n, s in stored.items() if not n.endswith(_COMPUTED)}
    if config.get("quantization_config"):
        raise UserError(
            f"{text} is quantized (config.json has quantization_config); merging would round twice",
            "give its full-precision checkpoint",
        )
    factors: dict[str, Factors] = {}
    if adapter_folder is not None and is_full(adapter_folder):
        tensors |= _whole(adapter_folder, tensors, text)
    elif adapter_folder is not None:
        factors = _factors(adapter_folder, tensors, text)
    return Model(text, folder, adapter_folder, config, tensors, factors)


def fingerprint(model: Model) -> str:
    """Names, sizes and times of a model's files: cheap, and changes when they do."""
    paths = {stored.file for stored in model.tensors.values()}
    if model.lora is not None:
        paths |= set(model.lora.glob("adapter_*"))
    lines = []
    for path in sorted(paths):
        stat = path.stat()
        lines.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}")
    return "; ".join(lines)


def _parts(text: str, beside: Path) -> tuple[str, str | None]:
    """MODEL+ADAPTER at the plus sign that parts them; a folder's own name may have others."""
    if _folder(text, beside):
        return text, None
    places = [place for place, character in enumerate(text) if character == "+"]
    for place in places:
        if _folder(text[:place], beside) and _folder(text[place + 1 :], beside):
            return text[:place], text[place + 1 :]
    name, _, adapter_name = text.partition("+")
    return name, adapter_name or None


def _folder(name: str, beside: Path) -> Path | None:
    if name == "builtin":
        from codemoe.models.reference import builtin_base

        return builtin_base()
    for candidate in (Path(name), beside / name):
        try:
            candidate = candidate.expanduser()
            if candidate.is_dir():
                return candidate.absolute()
        except (OSError, RuntimeError):  # a name too long for a path, a ~user who is not there
            continue
    return None


def find(text: str, beside: Path) -> Path:
    """The folder of a model or adapter, the hub's snapshot for a hub id."""
    folder = _folder(text, beside)
    if folder is not None:
        return folder
    name, _, revision = text.partition("@")
    if Path(name).is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise UserError(
            f"there is no folder {name} (looked from here and from {beside})",
            "name a checkpoint folder, or ORGANISATION/NAME on the hub",
        )
    return snapshot(name, revision or None)


def _base_of(folder: Path) -> str:
    name = expert_base(folder)
    if not name:
        raise UserError(
            f"{folder} does not say which base the adapter belongs to",
            f"write it into the recipe: BASE+{folder}",
        )
    return name


def read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} is no checkpoint (it has no config.json)",
            "point at a Hugging Face checkpoint folder or at a PEFT adapter",
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no JSON object")
    return config


def _whole(folder: Path, tensors: Mapping[str, Stored], text: str) -> dict[str, Stored]:
    """A full-MLP expert's tensors, under the names that the base's checkpoint has for them."""
    found = {}
    for path, stored in full_layout(folder).items():
        name = path if path in tensors else path.partition(".")[2]
        if name not in tensors or tensors[name].shape != stored.shape:
            raise UserError(
                f"the expert {folder} changes {path}, which the base of {text} does not have in "
                "this shape",
                "use the base that this expert was trained on",
            )
        found[name] = stored
    return found


def _factors(folder: Path, tensors: Mapping[str, Stored], text: str) -> dict[str, Factors]:
    found = {}
    for path, factors in read_factors(folder).items():
        # Some checkpoints leave out the model's own prefix.
        names = [f"{path}.weight", f"{path.partition('.')[2]}.weight"]
        name = next((n for n in names if n in tensors), None)
        if name is None:
            raise UserError(
                f"the adapter {folder} adapts {path}, which the base of {text} does not have",
                "use the base that this adapter was trained on",
            )
        if tensors[name].dtype not in FLOATS:
            raise UserError(
                f"the base of {text} stores {name} as {tensors[name].dtype}",
                "use its full-precision checkpoint",
            )
        found[name] = factors
    return found
