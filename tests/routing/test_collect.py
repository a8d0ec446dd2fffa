"""The collector: one record a layer, and the same gradients under gradient checkpointing."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from codemoe.errors import UserError
from codemoe.routing.collect import RoutingCollector
from codemoe.routing.losses import importance_loss, label_loss, load_balance_loss, z_loss
from codemoe.routing.record import Routing
from codemoe.routing.routers import LinearRouter
from tests.routing.make import NUM_EXPERTS, NUM_FEATURES, make_router, rows

LABELS_N = torch.arange(24) % NUM_EXPERTS


class Layer(nn.Module):
    """A residual mixture of linear experts that reports what it routed."""

    def __init__(self, index: int, router: LinearRouter, collector: RoutingCollector) -> None:
        super().__init__()
        self.index, self.router, self.collector = index, router, collector
        generator = torch.Generator().manual_seed(index)
        shape = (NUM_EXPERTS, NUM_FEATURES, NUM_FEATURES)
        self.experts_EDD = nn.Parameter(torch.randn(shape, generator=generator) / 3)
        self.reports = 0

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        routing = self.router(x_ND)
        self.collector.report(self.index, routing)
        self.reports += 1
        outputs_NED = torch.einsum("nd,edo->neo", x_ND, self.experts_EDD).tanh()
        return x_ND + (outputs_NED * routing.gates_NE()[..., None]).sum(1)


class Model(nn.Module):
    def __init__(self, kind: str, collector: RoutingCollector, shared: bool = False) -> None:
        super().__init__()
        routers = [make_router(kind, seed=0 if shared else i).train() for i in range(3)]
        self.layers = nn.ModuleList(
            Layer(i, routers[0 if shared else i], collector) for i in range(3)
        )

    def forward(self, x_ND: torch.Tensor, reentrant: bool | None = None) -> torch.Tensor:
        """`reentrant` is of the checkpointing; None is without any."""
        for layer in self.layers:
            if reentrant is None:
                x_ND = layer(x_ND)
            else:
                x_ND = checkpoint(layer, x_ND, use_reentrant=reentrant)
        return x_ND


def _loss(out_ND: torch.Tensor, routings: dict[int, Routing]) -> torch.Tensor:
    loss = out_ND.square().mean()
    for routing in routings.values():
        loss = loss + load_balance_loss(routing) + 0.1 * z_loss(routing)
        loss = loss + label_loss(routing, LABELS_N) + importance_loss(routing)
    return loss


def _gradients(
    kind: str, reentrant: bool | None, *, inside: bool = True, shared: bool = False
) -> tuple[dict[str, torch.Tensor], Model, dict[int, Routing]]:
    collector = RoutingCollector()
    model = Model(kind, collector, shared)
    torch.manual_seed(0)
    with collector.collect(for_loss=True) as routings:
        out_ND = model(rows().requires_grad_(), reentrant)
        first_pass = dict(routings)
        if inside:
            _loss(out_ND, routings).backward()
    if not inside:
        _loss(out_ND, routings).backward()
    assert all(routings[layer] is first_pass[layer] for layer in routings)
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return gradients, model, routings


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("kind", ["top-1", "top-k", "noisy-top-k", "switch", "sigmoid"])
def test_checkpointing_changes_no_gradient(kind: str, inside: bool) -> None:
    """Whether backward runs inside the scope or after it."""
    plain, _, _ = _gradients(kind, None)
    checkpointed, model, routings = _gradients(kind, False, inside=inside)
    assert [layer.reports for layer in model.layers] == [2, 2, 2]  # layers did run again
    assert list(routings) == [0, 1, 2]
    assert checkpointed.keys() == plain.keys()
    assert any("router.weight" in name for name in plain)
    for name, gradient in plain.items():
        assert torch.allclose(checkpointed[name], gradient, atol=1e-6), name


def test_counting_both_reports_would_be_seen() -> None:
    """The wrong twin: a plain list in the collector's place holds every layer twice."""
    records: list[Routing] = []
    collector = RoutingCollector()
    model = Model("top-k", collector)
    for layer in model.layers:
        layer.router.register_forward_hook(lambda module, args, routing: records.append(routing))
    model(rows().requires_grad_(), reentrant=False).sum().backward()
    assert len(records) == 6


def test_reentrant_checkpointing_is_refused() -> None:
    """It runs the first pass without gradients: the router losses would train nothing."""
    with pytest.raises(UserError, match="layer 0 routed without gradients"):
        _gradients("top-k", True)


def test_a_shared_router_has_one_record_a_layer_and_all_their_gradients() -> None:
    plain, _, routings = _gradients("top-k", None, shared=True)
    assert list(routings) == [0, 1, 2]
    assert len({id(routing) for routing in routings.values()}) == 3
    assert len([name for name in plain if "router.weight" in name]) == 1
    checkpointed, _, _ = _gradients("top-k", False, shared=True)
    for name, gradient in plain.items():
        assert torch.allclose(checkpointed[name], gradient, atol=1e-6), name


def test_nothing_is_kept_outside_a_scope_and_scopes_nest() -> None:
    collector = RoutingCollector()
    model = Model("top-k", collector)
    with torch.no_grad():
        model(rows())
        with collector.collect(for_loss=False) as outer:
            with collector.collect(for_loss=False) as inner:
                model(rows())
            assert (len(inner), len(outer)) == (3, 0)
            model(rows())
        assert len(outer) == 3
        model(rows(seed=4))
    assert len(outer) == 3
    assert collector._records is None
