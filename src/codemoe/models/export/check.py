"""Is the export the mixture? Token sequences to try both on, and the comparison of their logits."""

# B sequences, T tokens, V vocabulary

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from codemoe.data.prompt import encode_prompt
from codemoe.errors import WorkError
from codemoe.models.export.checkpoint import Checkpoint

TOLERANCE = 1e-5  # of float32 logits of order 1; larger logits, larger rounding
_WRONG = ("missing_keys", "mismatched_keys")
_MOST_ANSWER_TOKENS = 32

PROBES = (
    (
        "python",
        "Sum of the even numbers",
        "def total(xs):\n    return sum(x for x in xs if x % 2)\n",
    ),
    (
        "java",
        "Greatest common divisor",
        "static int gcd(int a, int b) {\n    return b == 0 ? a : 1;",
    ),
    (
        "javascript",
        "Reverse a string",
        "function reverse(s) {\n  return [...s].reverse().join('');\n",
    ),
    (
        None,
        "Largest of an array",
        "int largest(const std::vector<int>& a) {\n    int best = a[0];\n",
    ),
)


@dataclass(frozen=True)
class Probe:
    """Prompts, each with the beginning of an answer, right-padded; causality hides the pads."""

    ids_BT: torch.Tensor
    marked_BT: torch.Tensor  # 1 from each row's marker on
    num_prompt: tuple[int, ...]  # tokens of the prompt alone
    num_tokens: tuple[int, ...]  # with the answer's beginning, without pads


@dataclass(frozen=True)
class Rounding:
    """What storing the experts in half precision changes, against the mixture in float32."""

    max_abs: float
    mean_abs: float
    same_top_token: float  # share of the positions


@dataclass(frozen=True)
class Check:
    """Logits of the export, as a stock library computes them, against the mixture's own."""

    reader: str  # who reloaded the export
    max_abs_logit_difference: float
    median: float | None  # where the median decides: the reader computes in half precision
    tolerance: float
    tokens: int  # positions compared
    rounding: Rounding | None


def make_probe(tokenizer: PreTrainedTokenizerBase) -> Probe:
    rows, prompts = [], []
    for language, text, code in PROBES:
        prompt = encode_prompt(tokenizer, text, language)
        answer = tokenizer(code, add_special_tokens=False)["input_ids"]
        rows.append([*prompt.input_ids, *answer[:_MOST_ANSWER_TOKENS]])
        prompts.append(prompt)
    ids_BT = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    marked_BT = torch.zeros(ids_BT.shape)
    for index, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        ids_BT[index, : len(row)] = torch.tensor(row)
        marked_BT[index, prompt.marker_start :] = 1
    return Probe(
        ids_BT,
        marked_BT,
        num_prompt=tuple(len(prompt.input_ids) for prompt in prompts),
        num_tokens=tuple(map(len, rows)),
    )


@torch.no_grad()
def logits_of(model: Any, ids_BT: torch.Tensor) -> torch.Tensor:
    """(B, T, V) in float32."""
    logits: torch.Tensor = model(input_ids=ids_BT, use_cache=False).logits
    return logits.float()


def open_stock(folder: Path, max_memory: int, scratch: Path) -> Any:
    """A checkpoint in float32 as plain `transformers` opens it.

    A model larger than `max_memory` keeps its layers on disk; what the library has to convert
    goes to `scratch`. Raises WorkError when a parameter of the model is not in the checkpoint.
    """
    gc.collect()  # of the model before this one, if parts of it refer to each other
    checkpoint = Checkpoint(folder)
    options: dict[str, Any] = {}
    if 4 * checkpoint.num_elements > max_memory:
        options = {"device_map": _layers_on_disk(checkpoint), "offload_folder": str(scratch)}
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **options
    )
    model, info = loaded
    wrong = sorted({str(name) for kind in _WRONG for name in info[kind]})
    if wrong:
        raise WorkError(f"transformers does not find {', '.join(wrong[:4])} in {folder}")
    return model.eval()


def _layers_on_disk(checkpoint: Checkpoint) -> dict[str, str]:
    parts = {".".join(name.split(".")[:3]) for name in checkpoint.tensors if ".layers." in name}
    outside = ("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head")
    return dict.fromkeys(outside, "cpu") | dict.fromkeys(sorted(parts), "disk")


def transformers_reader(model: Any) -> str:
    return f"transformers {transformers.__version__}, {type(model).__name__}"


def compare(
    reader: str,
    found_BTV: torch.Tensor,
    expected_BTV: torch.Tensor,
    *,
    where_BT: torch.Tensor | None = None,
    tolerance: float = TOLERANCE,
    rounding: Rounding | None = None,
) -> Check:
    """Judge the positions where `where_BT` is true (all when None).

    Allowed is `tolerance` times the largest logit, or times 1 if that is less.
    """
    difference_BT = (found_BTV - expected_BTV).abs().amax(-1)
    differences_N = difference_BT.flatten() if where_BT is None else difference_BT[where_BT]
    scale = max(1.0, float(expected_BTV.abs().max()))
    return judge(reader, differences_N, tolerance * scale, rounding)


def judge(
    reader: str,
    differences_N: torch.Tensor,
    allowed: float,
    rounding: Rounding | None,
    by_median: bool = False,
) -> Check:
    """A Check when the largest difference (the median) is at most `allowed`; else a WorkError."""
    decisive = float(differences_N.median() if by_median else differences_N.max())
    if not decisive <= allowed:  # also when it is not a number
        raise WorkError(
            f"the export is not the mixture: its logits, computed by {reader}, differ by "
            f"{decisive:.3g} where at most {allowed:.3g} is rounding; nothing was kept",
            "report this with the base's config.json",
        )
    return Check(
        reader=reader,
        max_abs_logit_difference=float(differences_N.max()),
        median=decisive if by_median else None,
        tolerance=allowed,
        tokens=len(differences_N),
        rounding=rounding,
    )
