"""Tiny random mixtures on disk, as a finished run leaves them."""

import json
from pathlib import Path
from typing import Any

import torch

from codemoe.models.routers_file import SequenceRouter, save_routers
from codemoe.routing.routers import LinearRouter, TopKRouter
from tests.models.full import random_full
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

EXPERTS = {"one": 3, "two": 5, "three": 2}  # names and ranks
EXPERT_OF_LANGUAGE = {"python": "one", "java": "two", "cpp": "three"}
HIDDEN, LAYERS = 32, 2  # of tests.models.tiny


def write_mixture(
    folder: Path,
    model_type: str,
    *,
    target: str = "mlp",
    token_gates: bool = True,
    activation: str = "completion",
    dtype: torch.dtype = torch.float32,
    full: bool = False,
    top_k: int = 1,
    **config: Any,
) -> Path:
    """`base/`, `moe/` and `router/` of a run. The gates of the two stages differ."""
    base = save_checkpoint(tiny_model(model_type, **config).to(dtype), folder / "base")
    moe, router = folder / "moe", folder / "router"
    for seed, (name, rank) in enumerate(EXPERTS.items(), 1):
        if full:
            random_full(base, moe / "experts" / name, seed)
        else:
            random_adapter(base, moe / "experts" / name, target, rank, seed)
    description = {
        "base": {"model": "../base", "revision": None, "quantization": "none"},
        "experts": [{"name": name, "path": f"experts/{name}"} for name in EXPERTS],
        "expert_of_language": EXPERT_OF_LANGUAGE,
        "activation": activation,
    }
    (moe / "moe.json").write_text(json.dumps(description))
    generator = torch.Generator().manual_seed(7)

    def gate(features: int) -> torch.Tensor:
        return torch.randn(len(EXPERTS), features, generator=generator)

    def token_gate() -> LinearRouter:
        weight_ED = gate(HIDDEN)
        return LinearRouter(weight_ED) if top_k == 1 else TopKRouter(weight_ED, top_k=top_k)

    unfitted = [token_gate() for _ in range(LAYERS)]
    fitted = [token_gate() for _ in range(LAYERS)] if token_gates else []
    sequence = SequenceRouter(1, LinearRouter(gate(2 * HIDDEN), torch.tensor([0.1, -0.1, 0.0])))
    router.mkdir()
    save_routers(moe / "router.safetensors", list(EXPERTS), None, unfitted if token_gates else ())
    save_routers(router / "router.safetensors", list(EXPERTS), sequence, fitted)
    for stage in (moe, router):
        (stage / "manifest.json").write_text("{}")
    return folder


def some_tokens(rows: int = 3, length: int = 17) -> torch.Tensor:
    return torch.randint(3, 400, (rows, length), generator=torch.Generator().manual_seed(0))


def logits(model: torch.nn.Module, ids_BT: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids_BT).logits
