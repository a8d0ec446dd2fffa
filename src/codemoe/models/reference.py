"""The frozen base by reference: where it lives, at which revision, with which content."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from codemoe.artifacts import sha256_of
from codemoe.errors import UserError
from codemoe.recipe import BUILTIN

REFERENCE = "reference.json"
_CONTENT = ("config.json", "*.safetensors", "tokenizer*", "vocab.json", "merges.txt")


@dataclass(frozen=True)
class BaseReference:
    """A folder or a hub id; its resolved revision, or the hash of the folder's content."""

    model: str
    revision: str | None = None
    quantization: str = "none"
    sha256: str | None = None


def builtin_base() -> Path:
    """The folder of the base checkpoint that ships inside the package."""
    return Path(__file__).parent.parent / "assets" / "base"


def resolve(model: str) -> str:
    """`builtin` and folders become absolute paths; a hub id stays as it is."""
    if model == BUILTIN:
        return str(builtin_base())
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() else model


def content_sha256(model: str) -> str | None:
    """One hash of the config, weights and tokenizer of a checkpoint folder; None for a hub id."""
    folder = Path(resolve(model))
    if not folder.is_dir():
        return None
    files = sorted({file for pattern in _CONTENT for file in folder.glob(pattern)})
    stats = [(file.name, file.stat()) for file in files]
    return _hash(folder, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


@lru_cache(maxsize=32)
def _hash(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    """Cached by size and time: an evaluation opens the same base once for each model."""
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name, _, _ in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_content(reference: BaseReference) -> None:
    """Raise when a base is not the one that the experts were trained on."""
    if reference.sha256 is None:
        return
    found = content_sha256(reference.model)
    if found is not None and found != reference.sha256:
        raise UserError(
            f"the base {reference.model} has changed: its files hash to {found[:12]}, but this was "
            f"made with {reference.sha256[:12]}",
            "put the old checkpoint back, or make the run again on this one: "
            "codemoe run RECIPE --force",
        )


def write_reference(reference: BaseReference, folder: Path) -> None:
    (folder / REFERENCE).write_text(json.dumps(asdict(reference), indent=2) + "\n")


def read_reference(base_dir: Path) -> BaseReference:
    """The base of a `base/` stage directory: what it refers to, or itself."""
    file = base_dir / REFERENCE
    if not file.is_file():
        return BaseReference(str(base_dir))
    try:
        return BaseReference(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"cannot read {file}: {error}", "make it again: codemoe base RECIPE --force"
        ) from None
