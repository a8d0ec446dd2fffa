"""THE table of merge methods: what each is called, cites, needs and may be told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from codemoe.merge.methods import coefficients as sums
from codemoe.merge.methods.coefficients import Coefficients, combine, gram
from codemoe.merge.methods.consensus import Consensus, merge
from codemoe.merge.methods.inputs import Arrays, Inputs
from codemoe.merge.methods.sce import sce
from codemoe.merge.methods.sparse import Sparse, Sparsity, check_sparse

REQUIRED = object()
Settings = Mapping[str, Any]  # a list, one entry a model, for parameters of models


@dataclass(frozen=True)
class Parameter:
    """A setting. `kind` is float, bool or a tuple of the words that it may be."""

    kind: type | tuple[str, ...]
    default: Any = REQUIRED
    of_model: bool = False


@dataclass(frozen=True)
class Method:
    """One row. `run` yields the merged tensor of `Inputs` in blocks of float32.

    `known` gives the coefficients of methods that are weighted sums whose weights the settings
    alone decide; a tensor that is one model's own is then copied, not computed.
    """

    cites: str
    base: Literal["required", "optional", "unused"]
    parameters: Mapping[str, Parameter]
    run: Callable[[Inputs, Settings], Iterator[np.ndarray]]
    known: Callable[[Settings], Coefficients | None] = lambda settings: None
    check: Callable[[Settings], None] = lambda settings: None
    least: int = 1  # models, the base not counted
    most: int | None = None
    random: bool = False


_WEIGHT = Parameter(float, of_model=True)
_ELECT = ("weighted", "unweighted")
_DIVIDE = ("weights", "count")
_RESCALE = ("chance", "l1")


def _consensus(
    cites: str, kind: Sparsity, *, elects: bool, normalize: bool, rescale: bool
) -> Method:
    """A member of the family of TIES and DARE, under mergekit's names of its settings."""
    parameters = {
        "weight": _WEIGHT,
        "normalize": Parameter(bool, normalize),
        "lambda": Parameter(float, 1.0),
        "int8_mask": Parameter(bool, False),  # mergekit's; our masks are bytes anyway
    }
    if kind != "none":
        parameters["density"] = Parameter(float, 1.0, of_model=True)
        parameters["rescale"] = Parameter(bool, rescale)
        parameters["rescale_by"] = Parameter(_RESCALE, "chance" if rescale else "l1")
    if kind == "outliers":
        parameters["gamma"] = Parameter(float, 0.01, of_model=True)
    if kind == "rank":
        parameters["epsilon"] = Parameter(float, 0.15, of_model=True)
    if elects:
        parameters["elect"] = Parameter(_ELECT, "weighted")
        parameters["divide"] = Parameter(_DIVIDE, "weights")

    def sparse(settings: Settings) -> list[Sparse]:
        names = [n for n in ("density", "gamma", "epsilon") if n in parameters]
        count = len(settings["weight"])
        return [Sparse(kind, **{n: settings[n][m] for n in names}) for m in range(count)]

    def run(inputs: Inputs, settings: Settings) -> Iterator[np.ndarray]:
        divide: Any = settings.get("divide", "weights") if settings["normalize"] else "none"
        rescales = settings.get("rescale", False)
        how = Consensus(
            elect=settings["elect"] if elects else "none",
            divide=divide,
            rescale=settings["rescale_by"] if rescales else "none",
            scale=settings["lambda"],
        )
        return merge(inputs, settings["weight"], sparse(settings), how)

    def known(settings: Settings) -> Coefficients | None:
        if elects or any(s.thins for s in sparse(settings)):
            return None
        return sums.task_arithmetic(settings["weight"], settings["normalize"], settings["lambda"])

    def check(settings: Settings) -> None:
        for one in sparse(settings):
            check_sparse(one)
        if settings["normalize"] and settings.get("divide") != "count" and any(settings["weight"]):
            sums.linear(settings["weight"], True)  # of all 0 the result is the base, undivided

    return Method(
        cites, "required", parameters, run, known, check, random=kind in ("random", "rank")
    )


def _slerp(inputs: Inputs, settings: Settings) -> Iterator[np.ndarray]:
    _, (first, second) = sums.slerp(gram(inputs, False, with_base=True), settings["t"])
    return combine(inputs, (first, (second,)))


def _ends(settings: Settings) -> Coefficients | None:
    return {0.0: (1.0, (0.0,)), 1.0: (0.0, (1.0,))}.get(settings["t"])


def _on_base(inputs: Inputs, coefficients: Coefficients) -> Iterator[np.ndarray]:
    """A weighted sum of task vectors, on top of the base if there is one."""
    _, factors = coefficients
    return combine(inputs, (1.0 - sum(factors) if inputs.has_base else 0.0, factors))


def _nuslerp(inputs: Inputs, settings: Settings) -> Iterator[np.ndarray]:
    return _on_base(inputs, sums.nuslerp(gram(inputs, inputs.has_base), settings["weight"]))


def _multislerp(inputs: Inputs, settings: Settings) -> Iterator[np.ndarray]:
    found = gram(inputs, inputs.has_base)
    return _on_base(
        inputs, sums.multislerp(found, settings["weight"], settings["normalize_weights"])
    )


def _passthrough(settings: Settings) -> Coefficients:
    return 0.0, settings["scale"]


METHODS: dict[str, Method] = {
    "linear": Method(
        "Model soups, arXiv:2203.05482",
        "unused",
        {"weight": _WEIGHT, "normalize": Parameter(bool, True)},
        lambda inputs, s: combine(inputs, sums.linear(s["weight"], s["normalize"])),
        known=lambda s: sums.linear(s["weight"], s["normalize"]),
        check=lambda s: void(sums.linear(s["weight"], s["normalize"])),
    ),
    "task_arithmetic": _consensus(
        "Task arithmetic, arXiv:2212.04089", "none", elects=False, normalize=False, rescale=False
    ),
    "ties": _consensus(
        "TIES, arXiv:2306.01708", "magnitude", elects=True, normalize=True, rescale=False
    ),
    "dare_linear": _consensus(
        "DARE, arXiv:2311.03099", "random", elects=False, normalize=False, rescale=True
    ),
    "dare_ties": _consensus(
        "DARE, arXiv:2311.03099", "random", elects=True, normalize=False, rescale=True
    ),
    "breadcrumbs": _consensus(
        "Model Breadcrumbs, arXiv:2312.06795",
        "outliers",
        elects=False,
        normalize=False,
        rescale=False,
    ),
    "breadcrumbs_ties": _consensus(
        "Model Breadcrumbs, arXiv:2312.06795",
        "outliers",
        elects=True,
        normalize=False,
        rescale=False,
    ),
    "della": _consensus(
        "DELLA, arXiv:2406.11617", "rank", elects=True, normalize=True, rescale=True
    ),
    "della_linear": _consensus(
        "DELLA, arXiv:2406.11617", "rank", elects=False, normalize=False, rescale=True
    ),
    "slerp": Method(
        "Shoemake, SIGGRAPH 1985",
        "required",
        {"t": Parameter(float)},
        _slerp,
        known=_ends,
        most=1,
    ),
    "nuslerp": Method(
        "SLERP by weights, arXiv:2403.13257",
        "optional",
        {"weight": _WEIGHT},
        _nuslerp,
        check=lambda s: void(sums.share_of_second(s["weight"])),
        least=2,
        most=2,
    ),
    "multislerp": Method(
        "Multi-SLERP, Goddard 2024",
        "optional",
        {"weight": _WEIGHT, "normalize_weights": Parameter(bool, True)},
        _multislerp,
    ),
    "model_stock": Method(
        "Model Stock, arXiv:2403.19522",
        "required",
        {},
        lambda inputs, s: combine(inputs, sums.model_stock(gram(inputs, True))),
        least=2,
    ),
    "sce": Method(
        "SCE, arXiv:2408.07990",
        "required",
        {"select_topk": Parameter(float, 1.0), "int8_mask": Parameter(bool, False)},
        lambda inputs, s: sce(inputs, s["select_topk"]),
    ),
    "passthrough": Method(
        "layers as they are",
        "unused",
        {"scale": Parameter(float, 1.0, of_model=True)},
        lambda inputs, s: combine(inputs, _passthrough(s)),
        known=_passthrough,
        most=1,
    ),
}


def void(_: object) -> None:
    """For checks: computing is checking."""


def merge_arrays(
    name: str,
    tensors: Sequence[np.ndarray],
    base: np.ndarray | None = None,
    *,
    block: int = 1 << 16,
    key: str = "",
    seed: int = 0,
    **settings: Any,
) -> np.ndarray:
    """Merge arrays in memory by a method of the table; float32, in the shape of the first.

    Settings are those of the table, a list for those of models; what is left out has its default.
    `key` and `seed` decide the random numbers of DARE and DELLA.
    """
    method = METHODS[name]
    unknown = sorted(settings.keys() - method.parameters.keys())
    if unknown:
        raise TypeError(f"{name} has no setting {unknown[0]!r}")
    filled: dict[str, Any] = {}
    for key_, parameter in method.parameters.items():
        value = settings.get(key_, parameter.default)
        if value is REQUIRED:
            raise TypeError(f"{name} needs {key_}")
        is_list = isinstance(value, list | tuple)
        filled[key_] = [value] * len(tensors) if parameter.of_model and not is_list else value
    method.check(filled)
    inputs = Arrays(tensors, base, name=key, block=block, seed=seed)
    merged = np.concatenate([np.array(b) for b in method.run(inputs, filled)] or [np.empty(0)])
    return merged.astype(np.float32).reshape(inputs.shape)
