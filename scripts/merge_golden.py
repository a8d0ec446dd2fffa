"""What mergekit 0.1.5 makes of a few small tensors, for tests/merge/golden_mergekit.json.

Run in an environment of mergekit's own (pip install mergekit==0.1.5), from the repository's root:

    PYTHON scripts/merge_golden.py tests/merge/golden_mergekit.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from mergekit import merge_methods
from mergekit.merge_methods.base import ParameterScope, PerInputValues, TensorEntry, TensorGroup

_WEIGHT = [0.5, 0.3, 0.2]
# (method, models used, base used, settings of all, settings of models)
CASES: list[tuple[str, int, bool, dict[str, Any], dict[str, list[float]]]] = [
    ("linear", 3, False, {}, {"weight": _WEIGHT}),
    ("linear", 3, False, {"normalize": False}, {"weight": [1.0, -0.5, 0.3]}),
    ("task_arithmetic", 3, True, {"lambda": 0.7}, {"weight": [1.0, -0.5, 0.3]}),
    ("task_arithmetic", 3, True, {"normalize": True}, {"weight": _WEIGHT}),
    ("ties", 3, True, {}, {"weight": _WEIGHT, "density": [0.2, 0.5, 0.8]}),
    ("ties", 3, True, {"normalize": False}, {"weight": _WEIGHT, "density": [0.5] * 3}),
    ("ties", 3, True, {"rescale": True}, {"weight": [0.7] * 3, "density": [0.4] * 3}),
    ("ties", 3, True, {"lambda": 1.5}, {"weight": [1.0, -1.0, 0.5], "density": [0.6] * 3}),
    ("breadcrumbs", 3, True, {}, {"weight": _WEIGHT, "density": [0.6] * 3, "gamma": [0.1] * 3}),
    (
        "breadcrumbs_ties",
        3,
        True,
        {},
        {"weight": _WEIGHT, "density": [0.6] * 3, "gamma": [0.1] * 3},
    ),
    ("della", 3, True, {}, {"weight": _WEIGHT, "density": [1.0] * 3, "epsilon": [0.1] * 3}),
    ("dare_linear", 3, True, {}, {"weight": _WEIGHT, "density": [1.0] * 3}),
    ("dare_ties", 3, True, {}, {"weight": _WEIGHT, "density": [1.0] * 3}),
    ("slerp", 1, True, {"t": 0.3}, {}),
    ("slerp", 1, True, {"t": 0.0}, {}),
    ("nuslerp", 2, True, {}, {"weight": [0.4, 0.6]}),
    ("nuslerp", 2, False, {}, {"weight": [0.4, 0.6]}),
    ("multislerp", 3, True, {}, {"weight": _WEIGHT}),
    ("multislerp", 3, False, {}, {"weight": _WEIGHT}),
    ("model_stock", 3, True, {}, {}),
    ("sce", 3, True, {}, {}),
    ("sce", 3, True, {"select_topk": 0.4}, {}),
    ("passthrough", 1, False, {}, {"scale": [1.5]}),
]


def merged(
    name: str,
    base: torch.Tensor | None,
    models: list[torch.Tensor],
    shared: dict[str, Any],
    own: dict[str, list[float]],
) -> torch.Tensor:
    method = merge_methods.get(name)
    entries = [] if base is None else [TensorEntry(id="base", tensor=base.clone(), is_base=True)]
    entries += [TensorEntry(id=str(i), tensor=m.clone()) for i, m in enumerate(models)]
    values: dict[str, Any] = {
        p.name: shared.get(p.name, p.default) for p in method.spec.shared_parameters
    }
    for p in method.spec.input_parameters:
        used = [e for e in entries if p.scope == ParameterScope.INPUT or not e.is_base]
        given = own.get(p.name, [p.default] * len(used))
        values[p.name] = PerInputValues([(e.id, v) for e, v in zip(used, given, strict=True)])
    group = TensorGroup(entries=tuple(entries))
    (result,) = method._execute_resolved(
        (group,), [values], dtype=torch.float32, out_dtype=torch.float32
    )
    return result


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 5, generator=generator)
    models = [base + 0.3 * torch.randn(6, 5, generator=generator) for _ in range(3)]
    cases = []
    for name, count, has_base, shared, own in CASES:
        result = merged(name, base if has_base else None, models[:count], shared, own)
        settings = {**shared, **own}
        cases.append(
            {
                "method": name,
                "models": count,
                "base": has_base,
                "settings": settings,
                "result": result.tolist(),
            }
        )
    made = {"base": base.tolist(), "models": [m.tolist() for m in models], "cases": cases}
    Path(sys.argv[1]).write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
