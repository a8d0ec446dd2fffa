"""Tiny random mixtures, in memory and as the folder that `MODEL` may name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from codemoe.models.load import MOE_FILE, CodeModel, attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import ROUTER_FILE, SequenceRouter, save_routers
from codemoe.routing.routers import LinearRouter
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

EXPERT_OF_LANGUAGE = {"python": "a", "java": "b"}


def tiny_mixture(folder: Path, model_type: str = "mistral", **changes: Any) -> CodeModel:
    """Two experts, a sequence router and token gates, all random; its parts lie in `folder`."""
    base = save_checkpoint(tiny_model(model_type, **changes), folder / "base")
    adapters = {n: random_adapter(base, folder / n, "mlp", 3, i) for i, n in enumerate("ab")}
    model = attach_experts(
        load_base(BaseReference(str(base))), adapters, "completion", EXPERT_OF_LANGUAGE
    )
    generator = torch.Generator().manual_seed(0)
    router = LinearRouter(torch.randn(2, 64, generator=generator), torch.zeros(2))
    gates = tuple(LinearRouter(torch.randn(2, 32, generator=generator)) for _ in range(2))
    assert model.mixture is not None
    return replace(
        model,
        mixture=replace(
            model.mixture, sequence_router=SequenceRouter(1, router), token_routers=gates
        ),
    )


def save_mixture(folder: Path, **changes: Any) -> Path:
    """`tiny_mixture` as a folder with moe.json and its routers."""
    model = tiny_mixture(folder, **changes)
    assert model.mixture is not None
    description = {
        "base": {"model": "base"},
        "activation": "completion",
        "expert_of_language": EXPERT_OF_LANGUAGE,
        "experts": [{"name": name, "path": name} for name in "ab"],
    }
    (folder / MOE_FILE).write_text(json.dumps(description))
    mixture = model.mixture
    save_routers(
        folder / ROUTER_FILE, mixture.experts, mixture.sequence_router, mixture.token_routers
    )
    return folder
