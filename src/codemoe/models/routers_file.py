"""`router.safetensors`: a mixture's sequence router and its token gates.

Tensors: `sequence.weight` and `sequence.bias`; `token.<layer>.<name>` for each layer with a gate
of its own, `token.shared.<name>` for one gate that all of them share. One metadata entry,
`routers`, is JSON: the experts in the order of the rows, the layer that the sequence router reads,
and the gates' kind, options and layers.
"""

# E experts

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codemoe.config import Config, PositiveInt
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
    path: Path,
    experts: Sequence[str],
    sequence: SequenceRouter | None,
    token_routers: Sequence[LinearRouter | None],
) -> None:
    """Write the file; rows are in the order of `experts`. The same routers are the same bytes."""
    about: dict[str, Any] = {"experts": list(experts)}
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
    path: Path, experts: Sequence[str], num_layers: int, hidden_size: int
) -> tuple[SequenceRouter | None, TokenRouters]:
    """Read the file, in evaluation mode.

    Raises UserError, naming both sides, for routers of other experts, another depth or width.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            about = _About.model_validate_json((file.metadata() or {})["routers"])
    except (KeyError, ValidationError) as error:
        why = "no `routers` metadata" if isinstance(error, KeyError) else _first_error(error)
        raise UserError(
            f"the router {path} does not say what its tensors are ({why})", _AGAIN
        ) from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the router {path}: {error}") from None
    if about.experts != list(experts):
        raise UserError(
            f"{path} routes to {', '.join(about.experts)} but the mixture has "
            f"{', '.join(experts)}, in this order",
            "make it again for these experts: codemoe router RECIPE --force",
        )
    for key, tensor in tensors.items():
        width = 2 * hidden_size if key.startswith("sequence.") else hidden_size
        vector = key.endswith("bias")
        expected = (len(experts),) if vector else (len(experts), width)
        if tuple(tensor.shape) != expected:
            raise UserError(
                f"{path}: {key} is {tuple(tensor.shape)} but {len(experts)} experts on this base "
                f"need {expected}",
                _AGAIN,
            )
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{path}: {key} holds values that are no numbers", _AGAIN)
    return (
        None if about.sequence is None else _sequence(path, tensors, about.sequence, num_layers),
        () if about.token is None else _token(path, tensors, about.token, num_layers),
    )


class _Gate(Config):
    kind: str
    top_k: PositiveInt | None = None
    capacity_factor: float | None = None


class _Token(Config):
    router: _Gate
    layers: Annotated[tuple[int, ...], Field(min_length=1)]
    shared: bool


class _Sequence(Config):
    layer: Annotated[int, Field(ge=0)]


class _About(Config):
    """The metadata entry."""

    experts: list[str]
    sequence: _Sequence | None = None
    token: _Token | None = None


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _part(path: Path, tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    found = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    if "weight" not in found:
        raise UserError(f"{path} lacks the tensor {prefix}weight", _AGAIN)
    return found


def _build(path: Path, about: _Gate, state: dict[str, torch.Tensor]) -> LinearRouter:
    options = about.model_dump(exclude_none=True)
    router = build_router(options.pop("kind"), state["weight"], state.get("bias"), **options)
    try:
        router.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: {str(error).splitlines()[-1].strip()}", _AGAIN) from None
    return router.eval()


def _sequence(
    path: Path, tensors: dict[str, torch.Tensor], about: _Sequence, num_layers: int
) -> SequenceRouter:
    if about.layer >= num_layers:
        raise UserError(f"{path} reads layer {about.layer} but the base has {num_layers} layers")
    state = _part(path, tensors, "sequence.")
    return SequenceRouter(about.layer, _build(path, _Gate(kind="top-1"), state))


def _token(
    path: Path, tensors: dict[str, torch.Tensor], about: _Token, num_layers: int
) -> TokenRouters:
    layers = about.layers
    missing = sorted(set(range(min(layers), num_layers)) - set(layers))
    if not about.shared:
        missing += [i for i in layers if f"token.{i}.weight" not in tensors]
    if missing:
        raise UserError(f"{path} lacks the token gates of layers {sorted(set(missing))}", _AGAIN)
    if max(layers) >= num_layers:
        raise UserError(
            f"{path} has token gates for layers up to {max(layers)} but the base has {num_layers} "
            "layers"
        )
    if about.shared:
        shared = _build(path, about.router, _part(path, tensors, "token.shared."))
        return tuple(shared if i in layers else None for i in range(num_layers))
    return tuple(
        _build(path, about.router, _part(path, tensors, f"token.{i}.")) if i in layers else None
        for i in range(num_layers)
    )
