"""Route while reading: in one forward pass the base reads the prompt, the router chooses the
expert, and that expert acts on the marker.

The router reads layer L, and a marker token passes layers before L, where its expert acts too and
is not known yet. So until L the pass holds the marker once for each expert, side by side:

    layers 0 .. L    instruction | marker, expert 0 | marker, expert 1 | ...
    layers L+1 ..    instruction | marker, chosen expert

Each copy sees the instruction and itself, at the marker's own positions. After layer L all but the
chosen one are dropped, also from the cache. A second pass over the marker would read every weight
again; the copies cost a few columns in the first layers. Where no expert acts before L (layer 0,
MLP experts) there is one copy: the base's own pass.
"""

# B batch, T columns of the prompt, C of them up to `cut` (M = T - C from there on), E experts,
# S = E M columns of copies, P = C + S in all, Q rows of a mask, H heads, D model, V vocabulary

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from codemoe.models.adapter_moe import MixtureLayers, one_hot_gates
from codemoe.models.architectures import architecture_of, layers_of
from codemoe.models.decoding import Batch, Decoder
from codemoe.models.features import instruction_features
from codemoe.models.routers_file import SequenceRouter
from codemoe.routing.record import Routing


def read_and_route(
    experts: MixtureLayers, sequence: SequenceRouter, decoder: Decoder
) -> tuple[Routing, torch.Tensor] | None:
    """What the router decided for each row, and the logits (B, V) after the prompt.

    The decoder is then where `prefill` of the whole prompt, with the chosen experts acting from the
    marker on, would have left it. None, and nothing done, where this model or prompt needs two
    passes: a window of attention that the copies would not fit into, or an attention kernel that
    takes no mask.
    """
    batch = decoder.batch
    if not experts.acts_before(sequence.layer):
        with _decide(experts, sequence, batch, 1) as decided, experts.use(None):
            logits_BV = decoder.prefill(0, batch.width)
        return decided[0], logits_BV
    num_copies = experts.num_experts
    columns = batch.cut + num_copies * (batch.width - batch.cut)
    if not _takes_copies(decoder.model, columns):
        return None
    index_P = torch.arange(batch.width, device=batch.mask_BT.device)
    index_P = torch.cat([index_P[: batch.cut], index_P[batch.cut :].repeat(num_copies)])
    copy_P = torch.arange(columns, device=index_P.device) - batch.cut
    copy_P = copy_P.div(batch.width - batch.cut, rounding_mode="floor").clamp_min(-1)
    mask_B1QP = _mask(batch, index_P, copy_P, decoder.model.dtype)
    if _splits_attention(decoder):
        mask_B1QP = mask_B1QP[:, :, batch.cut :]
    # In copy e, expert e acts from the marker on.
    own_SE = nn.functional.one_hot(copy_P[batch.cut :], num_copies)
    gates_BSE = own_SE * batch.marked_BT[:, index_P[batch.cut :], None]
    with (
        _decide(experts, sequence, batch, num_copies) as decided,
        _drop_copies(experts, sequence.layer, decoder, columns, decided),
        experts.use(gates_BSE, start=batch.cut),
        _split_attention(decoder),
    ):
        out = decoder.model(
            input_ids=batch.input_ids_BT[:, index_P],
            attention_mask=mask_B1QP,
            position_ids=decoder.positions_BT[:, index_P],
            past_key_values=decoder.cache,
            use_cache=True,
            logits_to_keep=1,
        )
    return decided[0], out.logits[:, -1]


def _takes_copies(model: Any, columns: int) -> bool:
    """Whether attention takes a mask of our own, and sees all these columns."""
    config = model.config
    windows = [getattr(config, name, None) for name in ("sliding_window", "window_size")]
    return config._attn_implementation in ("eager", "sdpa") and all(
        window is None or columns < window for window in windows
    )


def _mask(
    batch: Batch, index_P: torch.Tensor, copy_P: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """(B, 1, P, P), added to attention scores: pads, later columns and other copies are out."""
    seen_PP = (copy_P[None, :] < 0) | (copy_P[None, :] == copy_P[:, None])
    seen_PP = seen_PP & (index_P[None, :] <= index_P[:, None])
    seen_BPP = seen_PP & batch.mask_BT[:, None, index_P].bool()
    mask_BPP = torch.zeros(seen_BPP.shape, dtype=dtype, device=seen_BPP.device)
    return mask_BPP.masked_fill(~seen_BPP, torch.finfo(dtype).min)[:, None]


@contextmanager
def _decide(
    experts: MixtureLayers, sequence: SequenceRouter, batch: Batch, num_copies: int
) -> Iterator[list[Routing]]:
    """Yield a list that the routing is put into when the router's layer is reached.

    Without copies the chosen experts act from there on, in the same layer's MLP.
    """
    decided: list[Routing] = []
    row = architecture_of(experts.model.config.model_type, experts.model)  # type: ignore

    def choose(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        x_BCD = args[0][:, : batch.cut]
        routing = sequence.router(instruction_features(x_BCD, batch.instruction_BT()))
        decided.append(routing)
        if num_copies == 1:
            experts.change(_chosen_gates(experts, batch, routing), start=batch.cut)

    mlp = layers_of(experts.model)[sequence.layer].get_submodule(row.mlp)
    hook = mlp.register_forward_pre_hook(choose)
    try:
        yield decided
    finally:
        hook.remove()


def _chosen_gates(experts: MixtureLayers, batch: Batch, routing: Routing) -> torch.Tensor:
    gates_B1E = one_hot_gates(routing.experts_NK[:, 0], experts.num_experts)
    return gates_B1E * batch.marked_BT[:, batch.cut :, None]


@contextmanager
def _drop_copies(
    experts: MixtureLayers, layer: int, decoder: Decoder, columns: int, decided: list[Routing]
) -> Iterator[None]:
    """After `layer`, only the chosen copy goes on; after the last one, what is left is padded to P
    columns again, as some models insist on the length that they were given."""
    batch, width = decoder.batch, decoder.batch.width
    layers = layers_of(experts.model)

    def chosen_P(values_BPD: torch.Tensor) -> torch.Tensor:
        """(B, P, ..) -> (B, T, ..): the instruction and each row's own copy."""
        length = width - batch.cut
        starts_B = batch.cut + decided[0].experts_NK[:, 0] * length
        tail_BM = starts_B[:, None] + torch.arange(length, device=starts_B.device)
        rows_B1 = torch.arange(len(starts_B), device=starts_B.device)[:, None]
        return torch.cat([values_BPD[:, : batch.cut], values_BPD[rows_B1, tail_BM]], 1)

    def drop(module: nn.Module, args: Any, output: Any) -> Any:
        for cached in decoder.cache.layers[: layer + 1]:
            assert isinstance(cached, DynamicLayer)
            assert cached.keys is not None
            assert cached.values is not None
            cached.keys = chosen_P(cached.keys.transpose(1, 2)).transpose(1, 2)
            cached.values = chosen_P(cached.values.transpose(1, 2)).transpose(1, 2)
            if hasattr(cached, "cumulative_length"):
                cached.cumulative_length = width
        experts.change(_chosen_gates(experts, batch, decided[0]), start=batch.cut)
        return _on_states(chosen_P, output)

    split = _splits_attention(decoder)

    def shorten(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        # The first copy stands where the chosen one now does: its mask and positions are those.
        first = partial(_first_columns, columns=columns, width=width, causal=split)
        return tuple(map(first, args)), {name: first(value) for name, value in kwargs.items()}

    def pad(module: nn.Module, args: Any, output: Any) -> Any:
        missing = columns - width
        return _on_states(lambda x_BTD: nn.functional.pad(x_BTD, (0, 0, missing, 0)), output)

    with ExitStack() as hooks:
        handles = [layers[layer].register_forward_hook(drop)]
        handles += [
            one.register_forward_pre_hook(shorten, with_kwargs=True) for one in layers[layer + 1 :]
        ]
        handles.append(layers[-1].register_forward_hook(pad))
        for handle in handles:
            hooks.callback(handle.remove)
        yield


def _splits_attention(decoder: Decoder) -> bool:
    """Whether the instruction's attention can stay the plain causal one, which takes half as long
    as one with a mask: no pads, and PyTorch's kernel called through the library's interface."""
    return (
        decoder.model.config._attn_implementation in ("sdpa", _SPLIT)
        and decoder.model._can_set_attn_implementation()
        and bool(decoder.batch.mask_BT.all())
    )


_SPLIT = "sdpa-instruction-and-copies"


@contextmanager
def _split_attention(decoder: Decoder) -> Iterator[None]:
    """Attend in two parts, where that can be done: see `_attend`."""
    if not _splits_attention(decoder):
        yield
        return
    from transformers import AttentionInterface

    AttentionInterface.register(_SPLIT, _attend)
    config = decoder.model.config
    before, config._attn_implementation = config._attn_implementation, _SPLIT
    try:
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: nn.Module,
    query_BHPD: torch.Tensor,
    key_BHPD: torch.Tensor,
    value_BHPD: torch.Tensor,
    mask_B1SP: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """A mask of S rows is for the last S columns; those before attend causally, among themselves.

    Returns (B, P, H, D).
    """
    if mask_B1SP is None:
        out: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query_BHPD, key_BHPD, value_BHPD, None, **options
        )
        return out
    cut = query_BHPD.shape[2] - mask_B1SP.shape[2]
    first, _ = sdpa_attention_forward(
        module,
        query_BHPD[:, :, :cut],
        key_BHPD[:, :, :cut],
        value_BHPD[:, :, :cut],
        None,
        **options,
    )
    copies, _ = sdpa_attention_forward(
        module, query_BHPD[:, :, cut:], key_BHPD, value_BHPD, mask_B1SP, **options
    )
    return torch.cat([first, copies], 1), None


def _on_states(change: Callable[[torch.Tensor], torch.Tensor], output: Any) -> Any:
    """Apply to the hidden states of a layer's output, which may be the first of several."""
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    return change(output)


def _first_columns(value: Any, columns: int, width: int, causal: bool) -> Any:
    """What a layer is told of `columns` columns, for the first `width` of them; with `causal`,
    plain causal attention (no mask)."""
    if isinstance(value, tuple | list):
        return type(value)(_first_columns(one, columns, width, causal) for one in value)
    if not isinstance(value, torch.Tensor):
        return value
    if value.dim() == 4 and value.shape[-1] == columns:
        return None if causal else value[..., :width, :width]
    axis = 0 if value.dim() == 1 else 1
    if value.dim() not in (1, 2, 3) or value.shape[axis] != columns:
        return value
    return value.narrow(axis, 0, width)
