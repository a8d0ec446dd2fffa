"""What `plan_memory.py` measures: shapes, recipes, the bases and samples they are about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemoe.artifacts import run_stage
from codemoe.data.rows import Row, write_parquet

SMALLEST = "smallest"
# Hidden size, layers, heads, key-value heads, MLP width, vocabulary, tied embeddings.
SHAPES: dict[str, tuple[str, int, int, int, int, int, int, bool]] = {
    SMALLEST: ("mistral", 16, 1, 2, 2, 32, 2048, True),
    "20M": ("mistral", 384, 8, 6, 6, 1024, 8192, True),
    "64M": ("mistral", 512, 12, 8, 4, 2048, 16384, False),
    "64M qwen2": ("qwen2", 512, 12, 8, 2, 2048, 32768, True),
    "120M gpt_neox": ("gpt_neox", 768, 10, 12, 12, 3072, 32000, False),
    "134M": ("mistral", 768, 12, 12, 4, 2304, 32000, False),
    "309M": ("mistral", 1024, 16, 16, 4, 4096, 32000, False),
}


@dataclass(frozen=True)
class Case:
    """A stage of a recipe on a shape; samples have `length` tokens.

    Experts train on short prompts and long answers, what takes the most; what reads prompts gets
    them half as long as a sample.
    """

    stage: str
    shape: str
    batch: int = 4
    length: int = 256
    steps: int = 3
    rank: int = 16
    target: str = "mlp"
    num_experts: int = 1
    quantization: str = "none"
    more: dict[str, Any] = field(default_factory=dict, hash=False)  # section -> keys
    models: tuple[str, ...] = ("base",)
    note: str = ""
    as_it_comes: bool = False  # also with glibc's own way of keeping freed memory

    def recipe(self, base: Path, runs: Path, name: str) -> dict[str, Any]:
        languages = ["python", "java", "javascript", "cpp"][: self.num_experts]
        lora = {"rank": self.rank, "alpha": 2 * self.rank, "target": self.target}
        train = {
            "steps": self.steps,
            "batch_size": self.batch,
            "max_length": self.length,
            "warmup_steps": 0,
            "checkpoint_steps": self.steps,
        }
        tree: dict[str, Any] = {
            "name": name,
            "runs_dir": str(runs),
            "languages": languages,
            "base": self._base(base),
            "experts": {
                "lora": lora | self.more.get("lora", {}),
                "train": train | self.more.get("train", {}),
                "dense_baseline": False,
            },
            "merge": {"methods": []},
            "router": {"samples_per_expert": 40, "folds": 2, "gate_tokens_per_expert": 2000}
            | self.more.get("router", {}),
            "eval": {
                "samples_per_language": self.batch,
                "batch_size": self.batch,
                "max_new_tokens": 32,
                "models": list(self.models),
                "execute": "never",
            },
        }
        return tree

    def _base(self, base: Path) -> dict[str, Any]:
        if self.stage != "base":
            return {"model": str(base), "quantization": self.quantization}
        _, hidden, layers, heads, key_values, width, vocabulary, _ = SHAPES[self.shape]
        return {
            "from_scratch": {
                "hidden_size": hidden,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "num_key_value_heads": key_values,
                "intermediate_size": width,
                "vocab_size": min(vocabulary, 2048),
                "steps": self.steps,
                "batch_tokens": self.batch * self.length,
                "sequence_length": self.length,
                "checkpoint_steps": self.steps,
                "warmup_steps": 0,
            }
        }

    @property
    def told(self) -> str:
        parts = [f"batch {self.batch} x {self.length}"]
        if self.stage == "experts":
            parts.append(f"rank {self.rank} on {self.target}")
        if self.num_experts > 1:
            parts.append(f"{self.num_experts} experts")
        if self.quantization != "none":
            parts.append(self.quantization)
        if self.stage == "eval":
            parts.append(", ".join(self.models))
        return "; ".join([*parts, self.note] if self.note else parts)


CHECKPOINTING = {"train": {"gradient_checkpointing": True}}
CASES = (
    Case("base", "20M", 8, 256, as_it_comes=True),
    Case("base", "64M", 4, 256),
    Case("base", "134M", 2, 512, 2),
    Case("experts", "20M", 16, 256, as_it_comes=True),
    Case("experts", "64M", 8, 512, target="both"),
    Case("experts", "64M", 8, 512, more=CHECKPOINTING, note="checkpointing"),
    Case(
        "experts", "64M qwen2", 8, 256, rank=64, more={"lora": {"use_rslora": True}}, note="rsLoRA"
    ),
    Case("experts", "120M gpt_neox", 4, 256),
    Case("experts", "134M", 4, 512, 2, target="attention"),
    Case("experts", "134M", 4, 256, 2, quantization="4bit", num_experts=2),
    Case("experts", "309M", 1, 256, 2),
    Case("experts", "309M", 2, 256, 2, more=CHECKPOINTING, note="checkpointing"),
    Case(
        "experts", "309M", 2, 256, 2, quantization="4bit", more=CHECKPOINTING, note="checkpointing"
    ),
    Case("router", "20M", num_experts=4, as_it_comes=True),
    Case("router", "64M", length=512, num_experts=2),
    Case(
        "router",
        "64M",
        16,
        num_experts=2,
        more={"router": {"train_gates": {"steps": 2, "batch_size": 16}}},
        note="gates trained, 16 a batch",
    ),
    Case("router", "309M", num_experts=2),
    Case("eval", "20M", 32, 512, num_experts=2, models=("base", "expert")),
    Case("eval", "64M", 16, 512, num_experts=2, models=("moe-token", "moe-sequence", "moe-oracle")),
    Case("eval", "134M", 8, 512, quantization="4bit"),
    Case("eval", "309M", 4, 1024, as_it_comes=True),
)


def make_base(shape: str, folder: Path) -> None:
    """A checkpoint of random weights, with the tokenizer that ships with codemoe."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from codemoe.models.reference import builtin_base

    kind, hidden, layers, heads, key_values, width, vocabulary, tied = SHAPES[shape]
    tokenizer = AutoTokenizer.from_pretrained(builtin_base())
    options: dict[str, Any] = {} if kind == "gpt_neox" else {"num_key_value_heads": key_values}
    config = AutoConfig.for_model(
        kind,
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=width,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_data(run_dir: Path, case: Case, languages: Sequence[str], base: str | None) -> None:
    """Rows whose samples have `length` tokens, and up to seven fewer: so that batches have pads, as
    those of real data do.

    Tokens of `base`: some architectures split the shipped vocabulary's text in ways of their own.
    None: a base that is yet to be trained, on a vocabulary like the shipped one.
    """
    from transformers import AutoTokenizer

    from codemoe.data.prompt import encode_example
    from codemoe.models.reference import builtin_base

    tokenizer = AutoTokenizer.from_pretrained(base or builtin_base())

    def row(language: str, split: str, number: int) -> Row:
        prompt = 0 if case.stage == "experts" else case.length // 2 - number % 4
        length = case.length - number % 8
        name = f"{split}{number}"
        text = f"task {name} "
        while len(encode_example(tokenizer, text, language, "x").input_ids) - 2 < prompt:
            text += "a number and "
        while len(encode_example(tokenizer, text, language, "x").input_ids) - 2 > prompt > 0:
            text = text[:-1]
        code = f"x = {number}"
        while len(encode_example(tokenizer, text, language, code).input_ids) < length:
            code += "\ny = x + 1"
        while len(encode_example(tokenizer, text, language, code).input_ids) > length:
            code = code[:-1]
        return Row(f"{language}-{name}", name, language, text, code, "benchmark", "none")

    def work(out: Path) -> None:
        counts = {"train": max(40, 2 * case.batch), "valid": 2, "test": case.batch}
        for split, count in counts.items():
            rows = [row(one, split, i) for one in languages for i in range(count)]
            write_parquet(rows, out / f"{split}.parquet")

    run_stage(run_dir / "data", "data", {}, {}, work)
