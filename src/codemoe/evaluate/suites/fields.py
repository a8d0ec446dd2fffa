"""Typed access to the fields of a JSONL row; every defect is a UserError that names the line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.languages import get_language


@dataclass(frozen=True)
class Fields:
    """One row of a file and where it stands."""

    path: Path
    line: int
    row: Mapping[str, Any]

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    def identity(self, *names: str) -> str:
        """The first of these that is a text or a whole number."""
        for name in names:
            value = self.row.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            if isinstance(value, str) and value:
                return value
        wanted = " or ".join(repr(name) for name in names)
        raise UserError(f"{self.place}: no {wanted} (a text or a number); {self.names()}")

    def text(self, name: str) -> str:
        value = self.row.get(name)
        if isinstance(value, str):
            return value
        found = type(value).__name__ if name in self.row else None
        told = f"found {found}" if found else f"it is missing; {self.names()}"
        raise UserError(f"{self.place}: {name!r} must be a text, {told}")

    def optional(self, name: str) -> str | None:
        return None if self.row.get(name) is None else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; a missing one is empty."""
        value = self.row.get(name)
        if value is None:
            return ()
        if isinstance(value, Sequence) and not isinstance(value, str):
            if all(isinstance(one, str) for one in value):
                return tuple(value)
            value = next(one for one in value if not isinstance(one, str))
            raise UserError(
                f"{self.place}: {name!r} must hold texts, found {type(value).__name__} in it"
            )
        raise UserError(
            f"{self.place}: {name!r} must be a list of texts, found {type(value).__name__}"
        )

    def language(self, found: str) -> str:
        """The canonical name of a language that this row speaks of."""
        try:
            return get_language(found).name
        except UserError as error:
            raise UserError(f"{self.place}: {error.what}", error.fix) from None

    def names(self) -> str:
        return "fields: " + (", ".join(sorted(self.row)[:12]) or "none")
