"""What goes in: the `data` section of a recipe."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from codemoe.config import Config, Fraction, PositiveInt
from codemoe.languages import LANGUAGES, PROSE, find_language


class Source(Config):
    """Where rows come from.

    corpus: the built-in task corpus. rows: JSONL/Parquet files, a folder or a glob of them, or a
    hub data set. instructions: the same with `instruction`, `input` and `output`. xlcost: the
    XLCoST release layout (local folder or hub data set). stack: The Stack's columns.
    """

    kind: Literal["corpus", "rows", "instructions", "xlcost", "stack"]
    path: str | None = None  # file, folder, glob or hub data set id; the corpus needs none
    revision: str | None = None  # of a hub data set
    subset: str | None = None  # of a hub data set, for `rows` and `instructions`
    split: str = "train"  # of the same
    fields: dict[str, str] = {}  # ours -> theirs: {text: prompt, code: response}
    language: str | None = None  # of rows that do not say theirs
    name: str | None = None  # its rows' `source`, for experts.define and weights
    level: Literal["program", "snippet"] = "program"  # of xlcost
    languages: tuple[str, ...] = ()  # of xlcost and stack: these only; empty: the recipe's
    max_rows: PositiveInt | None = None  # of each language, of xlcost and stack
    # all: may be asked about. train: only learned from, and nothing of a held-out problem is.
    use: Literal["all", "train"] = "all"
    tasks: PositiveInt | None = None  # corpus: at most so many semantics, evenly over families
    phrasings: Annotated[int, Field(ge=1, le=3)] = 3  # corpus: rows per program

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        return None if value is None else _canonical(value)

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_canonical(name) for name in value)

    @model_validator(mode="after")
    def _path_where_needed(self) -> "Source":
        if self.kind == "corpus" and self.path is not None:
            raise ValueError("the built-in corpus takes no path")
        if self.kind != "corpus" and not self.path:
            raise ValueError(f"a {self.kind!r} source needs `path`: a file, folder, glob or hub id")
        return self

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> "Source":
        own_rows = self.kind in ("rows", "instructions")
        for key, given, fits in (
            ("fields", bool(self.fields), own_rows),
            ("language", self.language is not None, own_rows),
            ("subset", self.subset is not None, own_rows),
            ("level", self.level != "program", self.kind == "xlcost"),
            ("languages", bool(self.languages), self.kind in ("xlcost", "stack")),
            ("max_rows", self.max_rows is not None, self.kind in ("xlcost", "stack")),
            ("use", self.use != "all", self.kind != "corpus"),
            ("name", self.name is not None, self.kind != "corpus"),
        ):
            if given and not fits:
                raise ValueError(f"`{key}` is not for a {self.kind!r} source")
        return self


def _canonical(name: str) -> str:
    row = find_language(name)
    if row is None:
        known = ", ".join((*LANGUAGES, PROSE.name))
        raise ValueError(f"unknown language {name!r}; known: {known}")
    return row.name


class DataConfig(Config):
    sources: tuple[Source, ...] = (Source(kind="corpus"),)
    valid_fraction: Fraction = 0.05
    test_fraction: Fraction = 0.1
    # Its own, so that runs with other training seeds are held to the same problems.
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    max_rows_per_language: PositiveInt | None = None
    min_rows_per_language: PositiveInt = 20
    max_code_chars: PositiveInt = 4000
    max_text_chars: PositiveInt = 2000
    max_parse_error: Annotated[float, Field(ge=0, le=1)] = 0.3  # share of unparsable bytes
    benchmarks: tuple[str, ...] = ()  # suites whose problems are removed from the data

    @field_validator("sources")
    @classmethod
    def _some_source(cls, value: tuple[Source, ...]) -> tuple[Source, ...]:
        if not value:
            raise ValueError("name at least one source")
        return value

    @model_validator(mode="after")
    def _rows_left_to_train(self) -> "DataConfig":
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction and test_fraction leave nothing to train on")
        return self
