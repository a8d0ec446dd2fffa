"""Peak memory of a step without the memory: the real model code on the meta device, every tensor
that is born and dies counted.

So it holds for every architecture and adapter alike: what is kept for the backward pass, what
checkpointing keeps, what the loss makes of the logits. Only attention is a stand-in, with the
memory of a fused kernel: q, k, v, the output and one float32 a row are kept, no T x T matrix of
each head (arXiv:2205.14135, section 3.1), but one mask for all heads, as batches have pads. Layers
that all look alike are not run one by one: the peak grows by the same amount for each.
"""

# B rows, T tokens, S tokens that are looked at, H heads, K key-value heads, D a head's width

import weakref
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig

from codemoe.models.adapter_moe import LoraFactors, MixtureLayers, attach
from codemoe.models.architectures import target_modules
from codemoe.models.full_mlps import FullMlps, attach_full
from codemoe.plan.shape import Trained, adapted, skeleton
from codemoe.recipe import LoraConfig
from codemoe.routing.decisions import route_top_k
from codemoe.routing.record import Routing
from codemoe.train.activation import ActivationMask
from codemoe.train.full_mlp import wrap
from codemoe.train.gate_training import relaxed

_ATTENTION = "codemoe_plan"
_EXACT_LAYERS = 6  # deeper models are extrapolated from 2 and 4 layers


class LiveBytes(TorchDispatchMode):
    """Bytes of all storages made in its scope and still alive: now, and at most so far."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen = {t.untyped_storage()._cdata for t in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._born(leaf.untyped_storage())
        return result

    def _born(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._died, key, size)

    def _died(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


class _Fused(torch.autograd.Function):
    """The memory of a fused attention kernel, forward and backward; computes nothing."""

    @staticmethod
    def forward(ctx: Any, q_BHTD: Any, k_BHSD: Any, v_BHSD: Any) -> Any:
        # PyTorch makes numbers of the yes-or-no mask that transformers hands it, in every layer.
        mask_B1TS = q_BHTD.new_empty(len(q_BHTD), 1, q_BHTD.shape[2], k_BHSD.shape[2])
        out_BHTD = torch.empty_like(q_BHTD)
        lse_BHT = torch.empty(q_BHTD.shape[:-1], dtype=torch.float32, device=q_BHTD.device)
        ctx.save_for_backward(q_BHTD, k_BHSD, v_BHSD, out_BHTD, lse_BHT, mask_B1TS)
        return out_BHTD

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        q_BHTD, k_BHSD, v_BHSD, *_ = ctx.saved_tensors
        return torch.empty_like(q_BHTD), torch.empty_like(k_BHSD), torch.empty_like(v_BHSD)


def _attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **kwargs: Any
) -> tuple[Any, None]:
    groups = query.shape[1] // key.shape[1]
    if groups > 1:  # with a mask of pads, transformers' sdpa repeats them
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return _Fused.apply(query, key, value).transpose(1, 2).contiguous(), None


def _sees(rows: int, width: int, seen: int | None = None) -> torch.Tensor:
    """The mask as transformers makes it, for one: made here, as no value can be read on meta."""
    return torch.empty(rows, 1, width, seen or width, dtype=torch.bool, device="meta")


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """None is needed: nothing is computed."""


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, _no_mask)


def training_activations(
    config: PreTrainedConfig,
    lora: Trained | None,
    rows: int,
    width: int,
    *,
    learned: int,
    checkpointing: bool,
    dtype: torch.dtype,
) -> int:
    """Bytes above weights and optimizer at the peak of forward, loss and backward of (B, T) tokens.

    The gradients of what is trained are among them: of one expert, or of all weights for `lora`
    None. Logits are made for `learned` columns.
    """

    def peak(layers: int) -> int:
        model = _model(config, layers, dtype)
        if isinstance(lora, LoraConfig):
            model = _with_adapter(model, lora)
        elif lora is not None:
            model = wrap(model)
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        # Without an adapter there is nothing to mask; whole MLPs have as much to do on all tokens.
        mask = ActivationMask(model if isinstance(lora, LoraConfig) else torch.nn.Module())
        with torch.device("meta"):
            ids_BT = torch.empty(rows, width, dtype=torch.long)
            labels_N = torch.empty(rows * learned, dtype=torch.long)
            active_BT1 = torch.empty(rows, width, 1)
            columns = torch.empty(learned, dtype=torch.long)
        live = LiveBytes([*model.parameters(), *model.buffers()])
        with live, mask.on(active_BT1):
            logits = model(
                input_ids=ids_BT,
                attention_mask=_sees(rows, width),
                use_cache=False,
                logits_to_keep=columns,
            ).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), labels_N, reduction="sum"
            )
            del logits
            loss.backward()
        return live.peak

    return _for_all_layers(config, peak)


def gate_activations(
    config: PreTrainedConfig,
    lora: Trained,
    num_experts: int,
    rows: int,
    width: int,
    *,
    learned: int,
    dtype: torch.dtype,
) -> int:
    """As `training_activations`, of a frozen mixture whose token gates are trained."""

    def peak(layers: int) -> int:
        model = _model(config, layers, dtype)
        with torch.device("meta"):
            experts = _mixture(model, lora, num_experts)
            ids_BT = torch.empty(rows, width, dtype=torch.long)
            labels_N = torch.empty(rows * learned, dtype=torch.long)
            active_BT1 = torch.empty(rows, width, 1)
            columns = torch.empty(learned, dtype=torch.long)
            gate_ED = torch.nn.Parameter(torch.empty(num_experts, config.hidden_size))

        def route(x_ND: torch.Tensor) -> Routing:
            logits_NE = torch.nn.functional.linear(x_ND.float(), gate_ED)
            return relaxed(route_top_k(logits_NE, 1), 1.0)

        live = LiveBytes([*model.parameters(), *model.buffers(), gate_ED])
        with live, experts.use_tokens([route] * layers, active_BT1):
            logits = model(
                input_ids=ids_BT,
                attention_mask=_sees(rows, width),
                use_cache=False,
                logits_to_keep=columns,
            ).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), labels_N, reduction="sum"
            )
            del logits
            loss.backward()
        return live.peak

    return _for_all_layers(config, peak)


def _mixture(model: Any, lora: Trained, num_experts: int) -> MixtureLayers:
    """Experts of nothing, in place."""
    if not isinstance(lora, LoraConfig):
        return attach_full(model, [FullMlps({})] * num_experts)
    names = target_modules(model.config.model_type, lora.target, model)
    one = {
        path: LoraFactors(torch.empty(lora.rank, inputs), torch.empty(outputs, lora.rank))
        for path, (inputs, outputs) in adapted(model, names).items()
    }
    return attach(model, [one] * num_experts)


def reading_activations(
    config: PreTrainedConfig, rows: int, width: int, *, dtype: torch.dtype
) -> int:
    """Bytes above the weights while router inputs of (B, T) tokens are collected: every layer's is
    kept until the next batch has one."""
    one = rows * width * config.hidden_size * dtype.itemsize

    def peak(layers: int) -> int:
        model = _model(config, layers, dtype).eval()
        with torch.device("meta"):
            ids_BT = torch.empty(rows, width, dtype=torch.long)
        live = LiveBytes([*model.parameters(), *model.buffers()])
        with live, torch.no_grad():
            model(
                input_ids=ids_BT,
                attention_mask=_sees(rows, width),
                use_cache=False,
                logits_to_keep=1,
            )
        return live.peak + layers * one

    return _for_all_layers(config, peak)


def inference_activations(
    config: PreTrainedConfig, rows: int, prompt: int, new: int, *, dtype: torch.dtype
) -> int:
    """Bytes above the weights while B prompts are read and answered, the cache included."""

    def peak(layers: int) -> int:
        model = _model(config, layers, dtype).eval()
        with torch.device("meta"):
            ids_BT = torch.empty(rows, prompt, dtype=torch.long)
        live = LiveBytes([*model.parameters(), *model.buffers()])
        with live, torch.no_grad():
            output = model(
                input_ids=ids_BT,
                attention_mask=_sees(rows, prompt),
                use_cache=True,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            del output
            for layer in cache.layers:  # as before the last token of the answer
                shape = (*layer.keys.shape[:2], prompt + new - 1, layer.keys.shape[-1])
                layer.keys = layer.keys.new_empty(shape)
                layer.values = layer.values.new_empty(shape)
            model(
                input_ids=ids_BT[:, :1],
                attention_mask=_sees(rows, 1, prompt + new),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return live.peak

    return _for_all_layers(config, peak)


def _with_adapter(model: Any, lora: LoraConfig) -> Any:
    """One float32 adapter, as PEFT makes it, without memory."""
    import peft

    wanted = peft.LoraConfig(
        r=lora.rank,
        lora_dropout=lora.dropout,
        use_rslora=lora.use_rslora,
        # No DoRA: its norms need values when they are made, and its magnitudes are few.
        target_modules=list(target_modules(model.config.model_type, lora.target, model)),
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(model, wanted, low_cpu_mem_usage=True)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return model


def _model(config: PreTrainedConfig, layers: int, dtype: torch.dtype) -> Any:
    config = deepcopy(config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    if getattr(config, "attention_types", None):  # GPT-Neo: its kinds of layers, in groups
        kinds = config.attention_types[0][0]
        config.attention_types = [[kinds, layers // len(kinds)]]
        config.attention_layers = (kinds * layers)[:layers]
    model = skeleton(config, dtype)
    if getattr(model, "_supports_sdpa", False) or getattr(model, "_supports_attention_backend", 0):
        model.config._attn_implementation = _ATTENTION
    return model


def _for_all_layers(config: PreTrainedConfig, peak: Callable[[int], int]) -> int:
    layers = config.num_hidden_layers
    if layers <= _EXACT_LAYERS:
        return int(peak(layers))
    two, four = peak(2), peak(4)
    return int(four + (four - two) / 2 * (layers - 4))
