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
    row = architecture_of(model.config.model_type, model)  # type: ignore[union-attr, arg-type]
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


def instruction_features(x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, 2 D) float32: the mean over the tokens where the mask is 1, and the last of them.

    The last token has read the whole instruction; the mean holds what single words say. Pads, on
    either side, never count.
    """
    mask_BT = mask_BT.to(torch.float32)
    mean_BD = (x_BTD.float() * mask_BT[..., None]).sum(1) / mask_BT.sum(1, keepdim=True).clamp_min(
        1
    )
    positions_T = torch.arange(1, mask_BT.shape[1] + 1, device=mask_BT.device)
    last_B = (mask_BT * positions_T).argmax(1)
    last_BD = x_BTD[torch.arange(len(x_BTD), device=x_BTD.device), last_B].float()
    return torch.cat([mean_BD, last_BD], dim=-1)
