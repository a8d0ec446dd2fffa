"""`router.safetensors`: a mixture's sequence router and its token gates.

Tensors: `sequence.weight` and `sequence.bias`; `token.<layer>.<name>` for each layer with a gate
of its own, `token.shared.<name>` for one gate that all of them share. One metadata entry,
`routers`, is JSON: the layer that the sequence router reads, and the gates' kind, options and
layers.
"""

# E experts

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codemoe.errors import UserError
from codemoe.routing.routers import LinearRouter, build_router, describe_router

ROUTER_FILE = "router.safetensors"
_AGAIN = "make its stage again: codemoe moe (or router) RECIPE --force"


@dataclass(frozen=True)
class SequenceRouter:
    """Chooses one expert a sequence from one layer's MLP input over the instruction.

    Its features are those of `models.features.instruction_features`.
    """

    layer: int
    router: LinearRouter


# One entry a layer, none at all for a mixture without token gates. A layer without a gate (None)
# runs as the base; the same module in several places is a gate that they share.
TokenRouters = tuple[LinearRouter | None, ...]


def save_routers(
    path: Path, sequence: SequenceRouter | None, token_routers: Sequence[LinearRouter | None]
) -> None:
    """Write the file; the same routers are the same bytes."""
    about: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    gates = {layer: gate for layer, gate in enumerate(token_routers) if gate is not None}
    if gates:
        first = next(iter(gates.values()))
        shared = len(gates) > 1 and len({id(gate) for gate in gates.values()}) == 1
        about["token"] = {
            "router": describe_router(first),
            "layers": list(gates),
            "shared": shared,
        }
        for name, gate in {"shared": first}.items() if shared else gates.items():
            for key, tensor in gate.state_dict().items():
                tensors[f"token.{name}.{key}"] = tensor
    if sequence is not None:
        about["sequence"] = {"layer": sequence.layer}
        for key, tensor in sequence.router.state_dict().items():
            tensors[f"sequence.{key}"] = tensor
    # One entry only: safetensors writes several in no fixed order.
    metadata = {"routers": json.dumps(about)}
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, path, metadata)


def load_routers(
    path: Path, num_experts: int, num_layers: int
) -> tuple[SequenceRouter | None, TokenRouters]:
    """Read the file, in evaluation mode.

    Raises UserError, naming both sides, for routers of other experts or of another depth.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {})["routers"])
        token, sequence = about.get("token"), about.get("sequence")
    except (KeyError, ValueError, AttributeError):
        raise UserError(
            f"the router {path} does not say what its tensors are (no `routers` metadata)", _AGAIN
        ) from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the router {path}: {error}") from None
    for key, tensor in tensors.items():
        if tensor.shape[:1] != (num_experts,):
            raise UserError(
                f"{path}: {key} routes to {len(tensor)} experts but the mixture has {num_experts}"
            )
    return (
        None if sequence is None else _sequence(path, tensors, sequence, num_layers),
        () if token is None else _token(path, tensors, token, num_layers),
    )


def _part(path: Path, tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    found = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    if "weight" not in found:
        raise UserError(f"{path} lacks the tensor {prefix}weight", _AGAIN)
    return found


def _build(path: Path, about: dict[str, Any], state: dict[str, torch.Tensor]) -> LinearRouter:
    router = build_router(
        about["kind"],
        state["weight"],
        state.get("bias"),
        **{name: value for name, value in about.items() if name != "kind"},
    )
    try:
        router.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: {str(error).splitlines()[-1].strip()}", _AGAIN) from None
    return router.eval()


def _sequence(
    path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any], num_layers: int
) -> SequenceRouter:
    layer = int(about["layer"])
    if layer >= num_layers:
        raise UserError(f"{path} reads layer {layer} but the base has {num_layers} layers")
    state = _part(path, tensors, "sequence.")
    return SequenceRouter(layer, _build(path, {"kind": "top-1"}, state))


def _token(
    path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any], num_layers: int
) -> TokenRouters:
    layers: list[int] = about["layers"]
    missing = sorted(set(range(min(layers), num_layers)) - set(layers))
    if not about["shared"]:
        missing += [i for i in layers if f"token.{i}.weight" not in tensors]
    if missing:
        raise UserError(f"{path} lacks the token gates of layers {sorted(set(missing))}", _AGAIN)
    if max(layers) >= num_layers:
        raise UserError(
            f"{path} has token gates for layers up to {max(layers)} but the base has {num_layers} "
            "layers"
        )
    if about["shared"]:
        shared = _build(path, about["router"], _part(path, tensors, "token.shared."))
        return tuple(shared if i in layers else None for i in range(num_layers))
    return tuple(
        _build(path, about["router"], _part(path, tensors, f"token.{i}.")) if i in layers else None
        for i in range(num_layers)
    )
