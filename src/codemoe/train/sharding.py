"""FSDP2: each of several processes keeps its share of every weight, gradient and moment.

Checkpoints are those of one process: whole tensors, gathered when they are written and shared out
when they are read. So a training may go on with another number of processes, or without sharding.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import Trainer

from codemoe.errors import UserError
from codemoe.models.architectures import layers_of

_OPTIMIZER, _SCHEDULER = "optimizer.pt", "scheduler.pt"  # as the Hugging Face trainer calls them


def shard(model: Any) -> None:
    """In place: each decoder layer's weights are whole only while it runs."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    for layer in layers_of(inner):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    left = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not isinstance(parameter, DTensor)
    ]
    if left:
        raise UserError(
            f"experts.train.parallelism is fsdp2, but {left[0]} is whole in every process",
            "experts.train.parallelism=ddp",
        )


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of it, on the CPU where it was shared out. Every process has to ask."""
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """What is trained, whole, by name. Every process has to ask."""
    return {n: whole(p.detach()) for n, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def put(parameter: torch.Tensor, value: torch.Tensor) -> None:
    """Write a whole tensor into a parameter that may be shared out."""
    parameter.copy_(_like(parameter, value.to(parameter.device, parameter.dtype)))


def _like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The value, shared out as the parameter is: each process takes its part, none sends."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)


class ShardedTrainer(Trainer):
    """A trainer that may share the model out among its processes; nothing changes if not."""

    shards = False

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        if self.shards:
            shard(self.model)
            # What the trainer calls a model that is shared out already: it neither wraps it in DDP
            # nor lets one process save alone. Its name for how ours came to be is not quite right.
            self.is_distributed_loading_by_transformers = True
        return super()._prepare_for_training(*args, **kwargs)

    def _defer_fsdp_gradient_reduction(self) -> Any:
        """Not deferred: gradients that wait for the last batch of a step would be whole."""
        return nullcontext()

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.shards:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        state = self.optimizer.state_dict()
        state["state"] = {
            number: {k: whole(v) if torch.is_tensor(v) else v for k, v in one.items()}
            for number, one in state["state"].items()
        }
        if self.args.should_save:
            torch.save(state, Path(output_dir) / _OPTIMIZER)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / _SCHEDULER)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not self.shards or checkpoint is None:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        folder = Path(checkpoint)
        state = torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for number, one in state["state"].items():
            for key, value in one.items():
                if torch.is_tensor(value):
                    one[key] = _like(parameters[number], value)
        self.optimizer.load_state_dict(state)
        schedule = torch.load(folder / _SCHEDULER, map_location="cpu", weights_only=True)
        self.lr_scheduler.load_state_dict(schedule)
