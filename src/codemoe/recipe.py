"""The one config of a run, as a tree of sections, checked whole before anything happens.

Each stage's manifest stores its own section, so a section holds exactly what its stage depends on.
`recipe_file.load_recipe` reads one from YAML.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from codemoe.align_config import AlignConfig
from codemoe.config import Config, PositiveInt
from codemoe.data_config import DataConfig
from codemoe.eval_config import EvalConfig
from codemoe.languages import LANGUAGES, PROSE, find_language
from codemoe.router_config import RouterConfig
from codemoe.train_config import LoraConfig, TrainConfig

BUILTIN = "builtin"  # the base that ships with codemoe
BUILTIN_HELD_OUT = 0.15  # the share of the corpus that it has not read, under split_seed 0
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # names become folders
DENSE = "dense-all"  # the dense baseline's place among the experts


class ScratchConfig(Config):
    """A tiny base trained on the data's code as plain documents, or of random weights (steps 0)."""

    model_type: Literal["mistral", "gpt_neo"] = "mistral"
    vocab_size: Annotated[int, Field(ge=300)] = 2048
    hidden_size: PositiveInt = 160
    num_hidden_layers: PositiveInt = 5
    num_attention_heads: PositiveInt = 5
    num_key_value_heads: PositiveInt = 5
    intermediate_size: PositiveInt = 448
    max_position_embeddings: PositiveInt = 1024
    initializer_range: Annotated[float, Field(gt=0)] = 0.02  # of the random weights it starts from
    # How often a document's function is preceded by a comment that describes it, as in real code.
    described_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    steps: Annotated[int, Field(ge=0)] = 4000
    batch_tokens: PositiveInt = 8192
    sequence_length: PositiveInt = 512
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    checkpoint_steps: PositiveInt = 200

    @model_validator(mode="after")
    def _heads(self) -> "ScratchConfig":
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        if self.model_type == "gpt_neo":
            if self.num_key_value_heads != self.num_attention_heads:
                raise ValueError("gpt_neo has keys for every head: num_key_value_heads the same")
        elif self.hidden_size // self.num_attention_heads % 2:
            raise ValueError(
                "hidden_size / num_attention_heads must be even: positions rotate pairs"
            )
        if self.sequence_length > self.max_position_embeddings:
            raise ValueError("sequence_length is longer than the window, max_position_embeddings")
        return self


class BaseConfig(Config):
    """`builtin` (ships with codemoe), a hub id, a checkpoint folder, or `from_scratch`."""

    model: str | None = None
    revision: str | None = None
    from_scratch: ScratchConfig | None = None
    quantization: Literal["none", "4bit"] = "none"

    @model_validator(mode="after")
    def _one_of(self) -> "BaseConfig":
        if (self.model is None) == (self.from_scratch is None):
            raise ValueError("give exactly one of `model` and `from_scratch`")
        if self.from_scratch is not None and self.quantization != "none":
            raise ValueError(
                "a base from_scratch is trained here in full precision: no quantization"
            )
        return self


class ExpertFilter(Config):
    """An expert is a name and a data filter: rows must match every field that is given."""

    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    # An expert that exists already, which is not trained: a PEFT LoRA, or a fine-tune of the base.
    checkpoint: str | None = None  # folder or hub id
    revision: str | None = None  # of a hub id

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _language_names(value)

    @model_validator(mode="after")
    def _revision_of_something(self) -> "ExpertFilter":
        if self.revision is not None and self.checkpoint is None:
            raise ValueError("`revision` is of a `checkpoint`, which is not given")
        return self

    def admits(self, language: str, source: str) -> bool:
        return (not self.languages or language in self.languages) and (
            not self.sources or source in self.sources
        )


class ExpertsConfig(Config):
    define: dict[str, ExpertFilter] = {}  # empty: one expert per language of the recipe
    # lora: low-rank updates. full: complete copies of the MLPs, nothing low-rank.
    method: Literal["lora", "full"] = "lora"
    lora: LoraConfig = LoraConfig()
    # `both`: each batch draws whether the expert acts on all tokens or from the marker on.
    activation: Literal["all", "completion", "both"] = "both"
    train: TrainConfig = TrainConfig()
    dense_baseline: bool = True  # one adapter on all languages: the experts' ranks and steps added

    @property
    def in_mlps(self) -> bool:
        """Whether experts act in MLPs only, where token gates can steer them."""
        return self.method == "full" or self.lora.target == "mlp"

    @property
    def kind(self) -> str:
        """What its experts are, in words."""
        return "LoRA" if self.method == "lora" else "full-MLP"

    @model_validator(mode="after")
    def _one_method(self) -> "ExpertsConfig":
        if self.method == "full" and self.lora != LoraConfig():
            raise ValueError(
                "method is full, which has no low-rank factors: take `lora` out (full experts are "
                "always MLPs)"
            )
        return self

    @field_validator("define")
    @classmethod
    def _usable_names(cls, value: dict[str, ExpertFilter]) -> dict[str, ExpertFilter]:
        for name in value:
            if not re.match(NAME, name):
                raise ValueError(f"{name!r} is no expert name; use letters, digits, . _ -")
            if name == DENSE:
                raise ValueError(f"{DENSE!r} is the dense baseline's name; choose another")
        return value


class MergeConfig(Config):
    methods: tuple[Literal["ties", "average", "slerp"], ...] = ("ties", "average")
    density: Annotated[float, Field(gt=0, le=1)] = 0.5  # TIES: share of entries kept
    weight: Annotated[float, Field(gt=0)] = 1.0  # TIES: scale of the merged task vector


class MoeConfig(Config):
    activation: Literal["all", "completion"] = "completion"
    # mlp: only what experts have in MLPs, as Mixtral's form holds it; the rest is left out.
    parts: Literal["all", "mlp"] = "all"


class Recipe(Config):
    name: Annotated[str, Field(pattern=NAME)]
    languages: tuple[str, ...] = ("python", "java", "javascript", "cpp")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    runs_dir: str = "runs"
    data: DataConfig = DataConfig()
    base: BaseConfig
    experts: ExpertsConfig = ExpertsConfig()
    align: AlignConfig | None = None  # no stage of that name without it
    merge: MergeConfig = MergeConfig()
    moe: MoeConfig = MoeConfig()
    router: RouterConfig = RouterConfig()
    eval: EvalConfig = EvalConfig()

    @field_validator("languages")
    @classmethod
    def _languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = _language_names(value)
        if not names:
            raise ValueError("name at least one language")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named more than once: {', '.join(twice)}")
        return names

    @model_validator(mode="after")
    def _experts_cover_languages(self) -> "Recipe":
        outside = {
            language
            for expert in self.experts.define.values()
            for language in expert.languages
            if language not in self.languages
        }
        if outside:
            raise ValueError(
                f"experts.define uses {', '.join(sorted(outside))}, which `languages` does not list"
            )
        filters = self.expert_filters.values()
        without = [
            language
            for language in self.languages
            if not any(not one.languages or language in one.languages for one in filters)
        ]
        if without:
            raise ValueError(
                f"experts.define has no expert for {', '.join(without)}; "
                "define one, or take it out of `languages`"
            )
        return self

    @model_validator(mode="after")
    def _can_be_shared_out(self) -> "Recipe":
        if self.experts.train.parallelism == "fsdp2":
            for key, found in (
                ("base.quantization=4bit", self.base.quantization != "none"),
                ("experts.lora.use_dora=true", self.experts.lora.use_dora),
            ):
                if found:
                    raise ValueError(
                        f"experts.train.parallelism=fsdp2 does not go with {key}, whose weights "
                        "have to be whole: parallelism=ddp"
                    )
        return self

    @model_validator(mode="after")
    def _full_experts_are_whole(self) -> "Recipe":
        if self.experts.method == "full" and self.base.quantization != "none":
            raise ValueError(
                "experts.method=full trains copies of the base's MLPs, which 4-bit weights are "
                "not: base.quantization=none, or experts.method=lora"
            )
        if self.experts.method == "full" and self.align is not None:
            raise ValueError(
                "align trains LoRA experts, and experts.method is full: take `align` out, or "
                "experts.method=lora"
            )
        return self

    @model_validator(mode="after")
    def _no_expert_in_the_head(self) -> "Recipe":
        if self.experts.method == "full" or self.experts.lora.target != "all":
            return self
        for key, needed, found in (
            ("moe.parts", "mlp", self.moe.parts),
            ("experts.activation", "all", self.experts.activation),
        ):
            if found != needed:
                raise ValueError(
                    "experts.lora.target=all adapts the head too, which a mixture cannot hold and "
                    f"which sees some tokens only: {key}={needed} (now {found}), or target=both"
                )
        return self

    @model_validator(mode="after")
    def _experts_that_gates_train_along(self) -> "Recipe":
        gates = self.router.train_gates
        if gates is not None and gates.experts and self.experts.method != "full":
            raise ValueError(
                "router.train_gates.experts trains whole MLPs along with the gates, and "
                "experts.method is lora: experts.method=full, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _router_fits_the_experts(self) -> "Recipe":
        router, experts = self.router, list(self.expert_filters)
        if router.num_experts_per_tok > len(experts):
            raise ValueError(
                f"router.num_experts_per_tok is {router.num_experts_per_tok} but there are "
                f"{len(experts)} experts"
            )
        for key, given in (("router.prompts", router.prompts), ("router.prior", router.prior)):
            if given and set(given) != set(experts):
                raise ValueError(
                    f"{key} is for {', '.join(sorted(given))}; the experts are {', '.join(experts)}"
                )
        return self

    @model_validator(mode="after")
    def _unseen_by_the_builtin_base(self) -> "Recipe":
        data = self.data
        held_out = data.valid_fraction + data.test_fraction
        if (
            self.base.model == BUILTIN
            and any(source.kind == "corpus" for source in data.sources)
            and (data.split_seed != 0 or held_out > BUILTIN_HELD_OUT + 1e-9)
        ):
            raise ValueError(
                "the built-in base has read the corpus' training rows of data.split_seed=0 with "
                f"{BUILTIN_HELD_OUT:g} held out: keep split_seed and valid_fraction + test_fraction"
                f" (now {held_out:g}) within that, or it would be tested on what it was trained on"
            )
        return self

    @property
    def run_dir(self) -> Path:
        return Path(self.runs_dir) / self.name

    @property
    def expert_filters(self) -> dict[str, ExpertFilter]:
        """Experts by name, in the order that gates and figures use."""
        return dict(self.experts.define) or {
            language: ExpertFilter(languages=(language,)) for language in self.languages
        }

    @property
    def expert_dirs(self) -> dict[str, Path]:
        """Where each expert that a mixture is made of lies: as trained, or as aligned."""
        folder = self.run_dir / ("experts" if self.align is None else "aligned/experts")
        return {name: folder / name for name in self.expert_filters}

    @property
    def steered_by_tokens(self) -> bool:
        """Whether the mixture's experts act in MLPs only, where token gates can steer them."""
        return self.experts.in_mlps or self.moe.parts == "mlp"

    @property
    def expert_inputs(self) -> dict[str, Path]:
        """The same, by their roles in a manifest's inputs."""
        kind = "experts" if self.align is None else "aligned"
        return {f"{kind}/{name}": folder for name, folder in self.expert_dirs.items()}

    def own_expert(self, language: str, source: str) -> str | None:
        """The expert for such a row: the first whose filter admits it."""
        filters = self.expert_filters.items()
        return next((name for name, one in filters if one.admits(language, source)), None)

    def expert_of_language(self) -> dict[str, str]:
        """Which expert a language's name calls: the first that takes it from every source."""
        chosen = {
            language: next(
                (
                    name
                    for name, one in self.expert_filters.items()
                    if not one.sources and one.admits(language, "")
                ),
                None,
            )
            for language in self.languages
        }
        return {language: name for language, name in chosen.items() if name is not None}

    @property
    def report_dir(self) -> Path:
        return self.run_dir / ("report" if self.eval.split == "test" else "report-valid")


def _language_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Canonical names; one message for all that are unknown."""
    rows = {name: find_language(name) for name in names}
    unknown = ", ".join(repr(name) for name, row in rows.items() if row is None)
    if unknown:
        raise ValueError(
            f"unknown language {unknown}; known: {', '.join((*LANGUAGES, PROSE.name))}"
        )
    return tuple(row.name for name in names if (row := rows[name]))
