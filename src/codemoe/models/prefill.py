"""Read the prompts: from a batch to its first logits, with the experts that act from then on.

The base reads the prompt, the router reads the base's own states in that same pass, and the chosen
expert takes over at the marker.
"""

# B batch, T tokens, L layers, E experts, V vocabulary

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from codemoe.errors import UserError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.decoding import Decoder
from codemoe.models.features import instruction_features, mlp_inputs
from codemoe.models.load import CodeModel, Mixture
from codemoe.models.one_pass import read_and_route
from codemoe.models.routers_file import SequenceRouter
from codemoe.models.routes import Choice, Route, named
from codemoe.routing.record import Routing


@dataclass(frozen=True)
class Start:
    """The prompts have been read: the first logits, the gates from then on, who was chosen."""

    logits_BV: torch.Tensor
    gates_B1E: torch.Tensor | None
    choices: Sequence[Choice | None]
    # Token routing: what each layer's gate chose at the last token.
    gates_BLE: torch.Tensor | None = None

    def rows(self, rows: torch.Tensor) -> "Start":
        """These rows; one may be named several times."""
        return Start(
            self.logits_BV[rows],
            None if self.gates_B1E is None else self.gates_B1E[rows],
            [self.choices[row] for row in rows.tolist()],
            None if self.gates_BLE is None else self.gates_BLE[rows.cpu()],
        )


def start(model: CodeModel, decoder: Decoder, route: Route) -> Start:
    """Read all prompts of a batch as `route` says."""
    batch, mixture = decoder.batch, model.mixture
    none: list[Choice | None] = [None] * len(batch.mask_BT)
    if route.by == "none" or mixture is None:
        return Start(decoder.prefill(0, batch.width), None, none)
    everywhere = (route.activation or mixture.activation) == "all"
    first = 0 if everywhere else batch.cut  # the first column that an expert may act on
    if route.by == "token":
        active_BT1 = None if everywhere else batch.marked_BT[:, first:, None]
        gates_BLE = torch.zeros(len(none), len(mixture.token_routers), len(mixture.experts))
        with token_routing(mixture, active_BT1, gates_BLE, first):
            logits_BV = decoder.prefill(0, batch.width)
        return Start(logits_BV, None, none, gates_BLE)
    if route.by == "named":
        experts_B = _expert_indices(mixture, route.experts).to(batch.mask_BT.device)
        return _prefill(mixture, decoder, experts_B, first, named(route.experts))
    if not everywhere:
        read = read_and_route(mixture.layers, sequence_router(mixture), decoder)
        if read is not None:
            routing, logits_BV = read
            gates_B1E = one_hot_gates(routing.experts_NK[:, 0], len(mixture.experts))
            return Start(logits_BV, gates_B1E, choices_of(mixture, routing))
    # Experts that act on the whole prompt have to read it again, after the base has.
    routing = read_instructions(mixture, Decoder(model.model, batch) if everywhere else decoder)
    choices = choices_of(mixture, routing)
    if everywhere:
        return _prefill(mixture, decoder, routing.experts_NK[:, 0], 0, choices)
    return hand_over(mixture, decoder, routing.experts_NK[:, 0], choices)


def _prefill(
    mixture: Mixture,
    decoder: Decoder,
    experts_B: torch.Tensor,
    first: int,
    choices: Sequence[Choice],
) -> Start:
    """One pass over the whole prompt; each row's expert acts from column `first` on, but for what
    stands before its marker when that is not everything."""
    gates_B1E = one_hot_gates(experts_B, len(mixture.experts))
    acting_BTE = gates_B1E
    if first:
        acting_BTE = gates_B1E * decoder.batch.marked_BT[:, first:, None]
    with mixture.layers.use(acting_BTE, first):
        return Start(decoder.prefill(0, decoder.batch.width), gates_B1E, choices)


def hand_over(
    mixture: Mixture, decoder: Decoder, experts_B: torch.Tensor, choices: Sequence[Choice]
) -> Start:
    """Each row's expert takes over at its marker; the instruction has been read."""
    batch = decoder.batch
    gates_B1E = one_hot_gates(experts_B, len(mixture.experts)).to(batch.marked_BT.device)
    with mixture.layers.use(gates_B1E * batch.marked_BT[:, batch.cut :, None]):
        return Start(decoder.prefill(batch.cut, batch.width), gates_B1E, choices)


def sequence_router(mixture: Mixture) -> SequenceRouter:
    """The mixture's; a UserError where it has none."""
    if mixture.sequence_router is None:
        raise UserError(
            "this mixture has no fitted sequence router", "codemoe router RECIPE, or name an expert"
        )
    return mixture.sequence_router


def read_instructions(mixture: Mixture, decoder: Decoder) -> Routing:
    """The bare base reads the instructions; the router reads its states in the same pass."""
    sequence = sequence_router(mixture)
    with mlp_inputs(decoder.model, [sequence.layer]) as inputs:
        decoder.read(0, decoder.batch.cut)
    instruction_BT = decoder.batch.instruction_BT()
    return sequence.router(instruction_features(inputs[sequence.layer], instruction_BT))


def choices_of(mixture: Mixture, routing: Routing) -> list[Choice]:
    """What a routing of prompts means, by the experts' names."""
    result = []
    for probs_E, chosen in zip(
        routing.probs_NE.tolist(), routing.experts_NK[:, 0].tolist(), strict=True
    ):
        by_name = dict(zip(mixture.experts, probs_E, strict=True))
        result.append(Choice(mixture.experts[chosen], probs_E[chosen], by_name))
    return result


@contextmanager
def token_routing(
    mixture: Mixture,
    active_BT1: torch.Tensor | None,
    gates_BLE: torch.Tensor,
    start: int = 0,
) -> Iterator[None]:
    """Token gates decide in this pass; `gates_BLE` receives whom each layer chose at each row's
    last token (zeros where a layer has no gate)."""
    if not mixture.token_routers:
        raise UserError("this mixture has no token gates", "codemoe router RECIPE")
    with mixture.layers.use_tokens(mixture.token_routers, active_BT1, start) as records:
        yield
    for layer, routing in records.items():
        gates_BLE[:, layer] = routing.gates_NE().unflatten(0, (len(gates_BLE), -1))[:, -1].cpu()


def _expert_indices(mixture: Mixture, names: Sequence[str]) -> torch.Tensor:
    unknown = sorted({name for name in names if name not in mixture.experts})
    if unknown:
        raise UserError(
            f"no expert named {', '.join(unknown)}; this mixture has {', '.join(mixture.experts)}"
        )
    return torch.tensor([mixture.experts.index(name) for name in names])
