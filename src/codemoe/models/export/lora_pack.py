"""LoRA packs: the experts as PEFT adapters, plain or activated, with the sequence router."""

# B sequences, T tokens, V vocabulary

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.adapters import attach_experts_to
from codemoe.models.export.check import TOLERANCE, Check, Probe, compare, logits_of, make_probe
from codemoe.models.export.checkpoint import Checkpoint
from codemoe.models.export.plan import Plan
from codemoe.models.export.source import Source
from codemoe.models.load import BaseReference, load_tokenizer, resolve
from codemoe.models.routers_file import ROUTER_FILE, save_routers

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
# bfloat16 has 8 bits of mantissa; PEFT and the mixture add the same terms in another order.
_HALF_TOLERANCE = 0.05


def plan_pack(source: Source, activation: str, max_memory: int) -> Plan:
    """One folder a expert, to be served from the base as `activation` (all | completion)."""
    if source.full:
        raise UserError(
            f"{', '.join(source.full)}: full-MLP experts are no adapters, and a multi-LoRA server "
            "could not switch between them",
            "--to mixtral (or qwen-moe, gguf), or train experts with experts.method=lora",
        )
    tokenizer = load_tokenizer(BaseReference(str(source.base_dir)))
    marker = marker_token_ids(tokenizer) if activation == "completion" else None
    base = Checkpoint(source.base_dir)
    dtype = torch.float32 if 4 * base.num_elements <= max_memory else torch.bfloat16
    need = base.num_elements * dtype.itemsize
    if need > max_memory:
        raise UserError(
            f"a pack is checked on its base, which needs {need / 1e9:.1f} GB of memory; "
            f"{max_memory / 1e9:.1f} GB are free",
            "export on a machine with more memory",
        )

    def write(folder: Path, advance: Callable[[int, str], None]) -> None:
        for name, adapter in zip(source.experts, source.adapters, strict=True):
            _write_adapter(source, adapter, folder / name, marker)
            advance(1, "")
        if source.sequence_router is not None:
            save_routers(folder / ROUTER_FILE, source.experts, source.sequence_router, ())

    return Plan(
        num_bytes=sum(
            (adapter / name).stat().st_size
            for adapter in source.adapters
            for name in _ADAPTER_FILES
        ),
        scratch_bytes=0,
        steps=len(source.experts),
        write=write,
        check=lambda folder, scratch: _check(
            source, folder, make_probe(tokenizer), activation, dtype
        ),
    )


def marker_token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The end-of-instruction marker as it is tokenised inside prompts: the invocation tokens.

    Raises UserError when these depend on what stands before it: a server that looks for one
    sequence would then miss others.
    """
    texts = ("Sum of the even numbers", "Is n prime?", "f(x) = 2", "Sort a list.", "x = [1, 2]")
    prompts = [
        encode_prompt(tokenizer, text, language)
        for text in texts
        for language in (None, "python", "cpp", "javascript")
    ]
    found = {prompt.input_ids[prompt.marker_start :] for prompt in prompts}
    if len(found) > 1 or not next(iter(found)):
        raise UserError(
            "the tokenizer splits the end-of-instruction marker differently from prompt to prompt, "
            "so a server could not see where an activated adapter begins",
            "--activation all",
        )
    return found.pop()


def _write_adapter(
    source: Source, adapter: Path, folder: Path, marker: tuple[int, ...] | None
) -> None:
    folder.mkdir()
    config_name, weights_name = _ADAPTER_FILES
    shutil.copyfile(adapter / weights_name, folder / weights_name)
    config = json.loads((adapter / config_name).read_text())
    config["base_model_name_or_path"] = resolve(source.reference.model)
    config["revision"] = source.reference.revision
    config["inference_mode"] = True
    config["alora_invocation_tokens"] = None if marker is None else list(marker)
    (folder / config_name).write_text(json.dumps(config, indent=2) + "\n")


def _check(
    source: Source, folder: Path, probe: Probe, activation: str, dtype: torch.dtype
) -> Check:
    """PEFT with each adapter of the pack == the mixture routed to that expert."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.base_dir, dtype=dtype, use_safetensors=True
    ).eval()
    first, *others = source.experts
    stock = peft.PeftModel.from_pretrained(model, str(folder / first), adapter_name=first)
    for name in others:
        stock.load_adapter(str(folder / name), adapter_name=name)
    found = []
    for name in source.experts:
        stock.set_adapter(name)
        found.append(logits_of(stock.eval(), probe.ids_BT))
    model = stock.unload()
    layers = attach_experts_to(model, source.factors)
    active_BT1 = probe.marked_BT[..., None] if activation == "completion" else 1.0
    expected = []
    for index in range(len(source.experts)):
        rows_B = torch.full((len(probe.ids_BT),), index)
        with layers.use(one_hot_gates(rows_B, len(source.experts)) * active_BT1):
            expected.append(logits_of(model, probe.ids_BT))
    return compare(
        f"peft {peft.__version__}",
        torch.cat(found),
        torch.cat(expected),
        tolerance=TOLERANCE if dtype == torch.float32 else _HALF_TOLERANCE,
    )
