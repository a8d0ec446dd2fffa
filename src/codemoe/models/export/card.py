"""The model card and `codemoe.json` of an export: for people, for the hub, and for programs."""

import json
from pathlib import Path
from typing import Any

from codemoe import __version__
from codemoe.data.prompt import MARKER, format_prompt
from codemoe.languages import find_language
from codemoe.models.export.check import Check
from codemoe.models.export.scores import Scores, read_scores
from codemoe.models.export.source import Source
from codemoe.models.model_card import base_name, card, metadata, model_index, quality
from codemoe.models.routers_file import ROUTER_FILE

_LOADING = {
    "transformers": """from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER", dtype="auto")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")""",
    "peft": """from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("BASE", dtype="auto")
model = PeftModel.from_pretrained(base, "FOLDER", subfolder="EXPERT")""",
    "gguf": "llama-server -m FOLDER/model.gguf",
}
_KINDS = {
    "mixtral": "A Mixtral checkpoint",
    "qwen-moe": "A Qwen-MoE checkpoint",
    "gguf": "A GGUF file for llama.cpp",
    "lora-pack": "A pack of PEFT LoRA adapters with a router",
}


def write_description(path: Path, source: Source, to: str, activation: str) -> None:
    """What a program needs in order to ask this export: experts, languages, prompts, router."""
    experts: list[dict[str, Any]] = [{"name": name} for name in source.experts]
    router: dict[str, Any] | None = {"by": "token", "where": "in the checkpoint"}
    if to == "lora-pack":
        experts = [{"name": name, "path": name} for name in source.experts]
        router = _sequence_router(source)
    description = {
        "format": to,
        "codemoe": __version__,
        "base": {
            "model": source.hub_id or str(source.base_dir),
            "revision": source.reference.revision,
        },
        "experts": experts,
        "expert_of_language": source.expert_of_language,
        "activation": activation,
        "prompt": {
            "marker": MARKER,
            "no_language": format_prompt("{text}"),
            "language": {name: format_prompt("{text}", name) for name in source.expert_of_language},
        },
        "router": router,
    }
    path.write_text(json.dumps(description, indent=2) + "\n")


def _sequence_router(source: Source) -> dict[str, Any] | None:
    if source.sequence_router is None:
        return None
    return {
        "by": "sequence",
        "file": ROUTER_FILE,
        "weight": "sequence.weight",
        "bias": "sequence.bias",
        "module": source.mlp_path(source.sequence_router.layer),
        "features": "input of `module` in the base without adapters, over the tokens before the "
        "marker: their mean, then the last of them, concatenated, float32",
        "choice": "the largest of features @ weight.T + bias, in the order of `experts`",
    }


def write_card(path: Path, source: Source, to: str, activation: str, check: Check) -> None:
    """README.md with the metadata that the hub reads."""
    measured = "moe-sequence" if to == "lora-pack" else "moe-token"
    scores = read_scores(source.run_dir, measured) if source.fitted else None
    same = scores is not None and source.activation == activation
    parts = [
        _introduction(source, to, activation),
        _use(source, to),
        _checked(check),
        _quality(source, scores, same, to),
        _limits(source, to),
    ]
    front = _metadata(source, to, scores if same else None)
    path.write_text(card(front, parts), encoding="utf-8")


def _library(to: str) -> str:
    return {"lora-pack": "peft", "gguf": "gguf"}.get(to, "transformers")


def _labels(source: Source) -> list[str]:
    rows = [find_language(name) for name in source.expert_of_language]
    return [row.label for row in rows if row]


def _metadata(source: Source, to: str, scores: Scores | None) -> dict[str, Any]:
    languages = list(source.expert_of_language)
    front = metadata(
        source.reference, source.base_dir, languages, _library(to), "mixture-of-experts"
    )
    if scores is not None:
        name = source.run_dir.name if source.run_dir else "mixture"
        front["model-index"] = model_index(name, scores)
    return front


def _introduction(source: Source, to: str, activation: str) -> str:
    labels = ", ".join(_labels(source)) or ", ".join(source.experts)
    acts = "on all tokens" if activation == "all" else f"from the marker `{MARKER.strip()}` on"
    return (
        f"# A mixture of experts for {labels}\n\n"
        f"{_KINDS[to]}, exported by codemoe {__version__} from a mixture of "
        f"{len(source.experts)} {'full-MLP' if source.full else 'LoRA'} experts on "
        f"{base_name(source.reference)}. Experts, in the order of the router: "
        f"{', '.join(source.experts)}. They act {acts}."
    )


def _use(source: Source, to: str) -> str:
    code = _LOADING[_library(to)]
    code = code.replace("BASE", source.hub_id or "BASE").replace("EXPERT", source.experts[0])
    prompt = format_prompt("Sum of the even numbers", next(iter(source.expert_of_language), None))
    return (
        f"## Use\n\n```{'sh' if to == 'gguf' else 'python'}\n{code}\n```\n\nAsk in this form (the "
        f"language line may be left out):\n\n```text\n{prompt}```\n\n`codemoe.json` says "
        "the same to programs."
    )


def _checked(check: Check) -> str:
    text = (
        f"## Checked\n\nReloaded by {check.reader}; over {check.tokens} tokens the logits differ "
        f"from the mixture's by at most {check.max_abs_logit_difference:.1e}"
    )
    if check.median is None:
        text += f" (allowed: {check.tolerance:.1e})."
    else:
        text += (
            f", at the median position by {check.median:.1e} (allowed: {check.tolerance:.1e}). "
            "That program computes in half precision, where a gate near a tie may turn."
        )
    if check.rounding is not None:
        text += (
            " Both had the experts rounded to the precision that is stored here. Against the "
            f"experts in float32 that rounding changes logits by {check.rounding.mean_abs:.1e} on "
            f"average and {check.rounding.max_abs:.1e} at most; the likeliest next token is the "
            f"same at {check.rounding.same_top_token:.1%} of the positions."
        )
    return text


def _quality(source: Source, scores: Scores | None, same: bool, to: str) -> str:
    how = "The sequence router" if to == "lora-pack" else "Token routing"
    if scores is None:
        return f"## Quality\n\nNot measured: the mixture's run holds no evaluation. {how} decides."
    caveat = ""
    if not same:
        caveat = (
            f"\n\nThese figures were measured with experts acting as `{source.activation}`, not as "
            "in this export; its own may differ."
        )
    return quality(scores, how) + caveat


def _limits(source: Source, to: str) -> str:
    notes = ["The licence is the base's; data of the experts have their own."]
    if to != "lora-pack":
        notes.append(
            "Every layer routes every token by itself (top-1). The sequence router of the mixture, "
            "which decides once, is not part of this format; `--to lora-pack` keeps it."
        )
    if source.reference.quantization != "none":
        here = "" if to == "lora-pack" else "; here they stand on its full-precision weights"
        notes.append(
            f"The experts were trained on the base in {source.reference.quantization}{here}."
        )
    return "## Limits\n\n" + "\n".join(f"- {note}" for note in notes)
