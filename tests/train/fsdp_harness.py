"""One of two processes whose sharded expert must give the loss and gradients of a whole one.

Run by test_processes.py: torchrun --nproc-per-node 2 -m tests.train.fsdp_harness BASE OUT
"""

import json
import sys
from pathlib import Path
from typing import Any

import peft
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from codemoe.models.architectures import layers_of
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from codemoe.recipe import LoraConfig
from codemoe.train.activation import ActivationMask
from codemoe.train.batches import Collator, as_sample, completion_loss, encode_rows
from codemoe.train.sft import lora_config
from tests.train.training import ROWS


def expert(base: Path) -> tuple[Any, Any]:
    loaded = load_base(BaseReference(str(base)))
    torch.manual_seed(0)
    model = peft.get_peft_model(loaded.model, lora_config(loaded.model, LoraConfig(rank=4)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return model, loaded.tokenizer


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {n: g.full_tensor() if isinstance(g, DTensor) else g for n, g in found.items()}


def main() -> None:
    base, out = Path(sys.argv[1]), Path(sys.argv[2])
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    model, tokenizer = expert(base)
    examples, _ = encode_rows(ROWS[:8], tokenizer, 256)
    collator = Collator(tokenizer.pad_token_id, 200)
    halves = [collator([as_sample(e, "completion") for e in examples[i::2]]) for i in range(2)]
    count = sum(int((half["labels"] >= 0).sum()) for half in halves)

    def backward(
        model: Any, mask: ActivationMask, half: dict[str, torch.Tensor], scale: int = 1
    ) -> float:
        with mask.on(half["active_BT1"]):
            loss, _ = completion_loss(
                model, half["input_ids"], None, half["labels"], count, half["position_ids"]
            )
            (loss * scale).backward()
        return float(loss.detach())

    whole = sum(backward(model, ActivationMask(model), half) for half in halves)
    expected = gradients(model)

    model, _ = expert(base)
    mask = ActivationMask(model)
    mesh = init_device_mesh("cpu", (world,))
    for layer in layers_of(model.get_base_model()):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    total = torch.tensor(backward(model, mask, halves[rank], world))  # gradients are averaged
    dist.all_reduce(total)
    found = gradients(model)
    worst = max(float((found[n] - g).abs().max() / g.abs().max()) for n, g in expected.items())
    shards = {
        name: [p.to_local().numel(), p.numel()]
        for name, p in model.named_parameters()
        if "lora_A" in name
    }
    if rank == 0:
        result = {
            "world": world,
            "loss": [float(total), whole],
            "gradient_error": worst,
            "same_names": found.keys() == expected.keys(),
            "sharded": all(2 * local == full for local, full in shards.values()) and bool(shards),
        }
        out.write_text(json.dumps(result))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
