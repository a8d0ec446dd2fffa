"""Train a LoRA that acts on some tokens only: from the end-of-instruction marker on.

PEFT's own activated LoRA recomputes its offsets from the tokens of every row; here the mask comes
with the batch, so that one adapter can be trained both ways (`activation: both`).
"""

# B batch, T tokens

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from codemoe.models.architectures import HEAD

# How often `both` draws `completion`: acting without having changed how the prompt is read is the
# harder of the two, and what a mixture does by default.
COMPLETION_SHARE = 0.85


class Masked(nn.Module):
    """A module that asks the mask of its model where its expert acts."""

    mask: "ActivationMask | None" = None

    def places(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The numbers of the B*T tokens on which it acts, and of the others; None: on all."""
        return None if self.mask is None else self.mask.places()


class ActivationMask:
    """Multiplies the update of every LoRA layer of a PEFT model by a (B, T, 1) mask, if any; tells
    it to every full MLP."""

    def __init__(self, model: nn.Module) -> None:
        from peft.tuners.lora import LoraLayer

        self.current_BT1: torch.Tensor | None = None
        self._places: tuple[torch.Tensor, torch.Tensor] | None = None
        self._generating = False
        for name, module in model.named_modules():
            if isinstance(module, Masked):
                module.mask = self
            # The head sees some columns only; an expert in it acts on all tokens anyway.
            if isinstance(module, LoraLayer) and not name.endswith(HEAD):
                # DoRA's update also scales the base's output; B gives only a part of it.
                updates = dict(module.lora_B.items()) | dict(module.lora_magnitude_vector.items())
                for update in updates.values():
                    update.register_forward_hook(self._apply)

    @contextmanager
    def on(self, active_BT1: torch.Tensor) -> Iterator[None]:
        """Forwards and backwards in this scope act where `active_BT1` is 1."""
        self.current_BT1 = active_BT1
        try:
            yield
        finally:
            self.current_BT1 = self._places = None

    def places(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Where the expert acts and where not; found once a step, as a GPU is waited for."""
        if self.current_BT1 is not None and self._places is None:
            active_N = self.current_BT1.flatten().bool()
            self._places = active_N.nonzero()[:, 0], (~active_N).nonzero()[:, 0]
        return self._places

    @contextmanager
    def on_prompts(self, active_BT1: torch.Tensor) -> Iterator[None]:
        """While answers are generated: prompts are read with this mask, and every step after them,
        of one token a row, is active."""
        self._generating = True
        try:
            with self.on(active_BT1):
                yield
        finally:
            self._generating = False

    def _apply(
        self, module: nn.Module, args: tuple[torch.Tensor, ...], update_BTO: torch.Tensor
    ) -> torch.Tensor | None:
        if self.current_BT1 is None or (self._generating and update_BTO.shape[1] == 1):
            return None
        return update_BTO * self.current_BT1.to(update_BTO.dtype)


def draw_activation(activation: str, batch_index: int, seed: int) -> str:
    """`all` or `completion` for one batch; for `both` a draw that depends on nothing else."""
    if activation != "both":
        return activation
    drawn = random.Random(f"activation:{seed}:{batch_index}").random()
    return "completion" if drawn < COMPLETION_SHARE else "all"
