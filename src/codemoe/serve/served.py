"""What is served: the model, the names that requests may call it by, and its tokenizer."""

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from codemoe.data.fim import Fim, fim_of
from codemoe.errors import UserError
from codemoe.models.generate import context_window
from codemoe.models.load import CodeModel
from codemoe.serve.errors import ApiError

Kind = Literal["mixture", "expert", "base", "dense"]


@dataclass(frozen=True)
class Name:
    """An entry of /v1/models."""

    id: str
    kind: Kind
    languages: tuple[str, ...] = ()


class Served:
    def __init__(self, model: CodeModel, name: str, is_gateway: bool = False) -> None:
        self.model = model
        self.names = {entry.id: entry for entry in names_of(model, name)}
        self.window = context_window(model)
        self.vocabulary = int(model.model.config.get_text_config().vocab_size)
        self.created = int(time.time())
        self.is_gateway = is_gateway  # another server writes the tokens
        # A tokenizer changes itself while it works: the engine's thread has its own.
        self._tokenizer = copy.deepcopy(model.tokenizer)
        self._lock = threading.Lock()
        self.fim: Fim | None = fim_of(self._tokenizer)

    @contextmanager
    def tokenizer(self) -> Iterator[Any]:
        """The tokenizer, for one thread at a time."""
        with self._lock:
            yield self._tokenizer

    def find(self, name: str) -> Name:
        """The entry of this name: from a fixed list, so that no request names a file."""
        found = self.names.get(name)
        if found is None:
            raise ApiError(
                404,
                f"the model {name!r} does not exist; there are {', '.join(self.names)}",
                "model_not_found",
                "model",
            )
        return found

    def entry(self, name: Name) -> dict[str, Any]:
        return {
            "id": name.id,
            "object": "model",
            "created": self.created,
            "owned_by": "codemoe",
            "kind": name.kind,
            "languages": list(name.languages),
            "window": self.window,
            "routing": self._routing(name.kind),
        }

    def _routing(self, kind: Kind) -> list[str]:
        """What may be asked for in a request's `routing`, in short."""
        mixture = self.model.mixture
        if mixture is None:
            return []
        if self.is_gateway:
            return ["auto"] if kind == "mixture" and mixture.sequence_router else []
        if kind != "mixture":
            return ["trace"]
        auto = ["auto"] if mixture.sequence_router is not None else []
        return [*auto, *(["token"] if mixture.token_routers else []), "trace"]


def names_of(model: CodeModel, name: str) -> list[Name]:
    """The mixture by its name, each expert by its own, the base as `base`."""
    mixture = model.mixture
    if mixture is None:
        return [Name(name, "dense")]
    languages = mixture.expert_of_language
    experts = [
        Name(expert, "expert", tuple(one for one, own in languages.items() if own == expert))
        for expert in mixture.experts
    ]
    base = "base" if "base" not in mixture.experts and name != "base" else f"{name}-base"
    if name in mixture.experts:
        raise UserError(
            f"the mixture would be called {name!r}, as one of its experts is", "give it a --name"
        )
    return [Name(name, "mixture", tuple(languages)), *experts, Name(base, "base")]


def default_name(argument: str) -> str:
    """The last part of MODEL: runs/demo is demo, org/model is model."""
    return PurePath(argument.rstrip("/")).name or "model"
