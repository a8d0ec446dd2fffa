"""Random routers of every kind, and rows for them."""

import torch

from codemoe.routing.routers import LinearRouter, build_router

NUM_EXPERTS, NUM_FEATURES, TOP_K = 5, 8, 2


def rows(num_rows: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_rows, NUM_FEATURES, generator=torch.Generator().manual_seed(seed))


def make_router(kind: str, capacity_factor: float = 1.0, seed: int = 1) -> LinearRouter:
    """With every parameter and buffer random, those that start at zero too; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    weight_ED = torch.randn(NUM_EXPERTS, NUM_FEATURES, generator=generator)
    router = build_router(
        kind, weight_ED, torch.zeros(NUM_EXPERTS), top_k=TOP_K, capacity_factor=capacity_factor
    )
    with torch.no_grad():
        for name, tensor in router.state_dict().items():
            if name != "weight":
                tensor.copy_(torch.randn(tensor.shape, generator=generator) / 2)
    return router.eval()
