"""True router inputs: what each layer's MLP receives, after the post-attention norm."""

# B batch, T tokens, D model

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from codemoe.models.architectures import architecture_of, layers_of


@contextmanager
def mlp_inputs(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, torch.Tensor]]:
    """Yield a dict that holds, after each forward, the (B, T, D) MLP input of the named layers."""
    seen: dict[int, torch.Tensor] = {}
    row = architecture_of(model.config.model_type)  # type: ignore[union-attr, arg-type]
    hooks = []
    for index in layers:

        def keep(module: nn.Module, args: tuple[torch.Tensor, ...], index: int = index) -> None:
            seen[index] = args[0].detach()

        mlp = layers_of(model)[index].get_submodule(row.mlp)
        hooks.append(mlp.register_forward_pre_hook(keep))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def mean_over(x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, D) float32 mean over the tokens where the mask is 1; pads never count."""
    weights_BT1 = mask_BT.to(torch.float32)[..., None]
    return (x_BTD.float() * weights_BT1).sum(1) / weights_BT1.sum(1).clamp_min(1.0)
