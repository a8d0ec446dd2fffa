"""Gather each layer's `Routing` of one forward pass, for losses and statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from codemoe.errors import UserError
from codemoe.routing.record import Routing


class RoutingCollector:
    """Layers report here; records are kept only inside a `collect` scope, by who opened it.

        with collector.collect(for_loss=True) as routings:
            loss = model(batch).loss
        loss = loss + sum(load_balance_loss(routing) for routing in routings.values())
        loss.backward()

    Gradient checkpointing runs a layer again during backward, and then it reports again. The first
    report counts: its tensors are in the graph that the loss is computed from (backward fills in
    what was not stored), while the second run's are thrown away. So the scope may be closed before
    backward or after. Open one scope for each forward pass.

    An object that its layers hold, and no context variable: on a GPU, backward and the second run
    in it happen in a thread of autograd's, which has no part in the caller's context.
    """

    def __init__(self) -> None:
        self.mask_N: torch.Tensor | None = None  # 0 for pads, in the scope that is open
        self._records: dict[int, Routing] | None = None
        self._for_loss = False

    @contextmanager
    def collect(
        self, *, for_loss: bool, mask_N: torch.Tensor | None = None
    ) -> Iterator[dict[int, Routing]]:
        """Yield the dict, by layer, that reports go to; `for_loss` insists on gradients.

        `mask_N` (0 for pads) is for routers whose rows compete for places; with it, backward under
        gradient checkpointing has to run inside the scope.
        """
        before = self._records, self._for_loss, self.mask_N
        records: dict[int, Routing] = {}
        self._records, self._for_loss, self.mask_N = records, for_loss, mask_N
        try:
            yield records
        finally:
            self._records, self._for_loss, self.mask_N = before

    def report(self, layer: int, routing: Routing) -> None:
        """Called by a layer for each routing it does; outside a scope it keeps nothing."""
        if self._records is None or layer in self._records:
            return
        if self._for_loss and not torch.is_grad_enabled():
            # A loss on such a record would train nothing, and nobody would see it.
            raise UserError(
                f"layer {layer} routed without gradients, so its router losses cannot be trained",
                "use gradient checkpointing with use_reentrant=False, or none",
            )
        self._records[layer] = routing
