"""The loops in C and their twins in NumPy make the same bytes.

Run with: pytest tests/merge/test_kernels.py
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codemoe.errors import UserError
from codemoe.merge import kernels
from codemoe.merge.command import merge_models
from codemoe.merge.kernels import build
from codemoe.merge.kernels.build import library
from codemoe.merge.methods import inputs
from codemoe.merge.methods.table import merge_arrays
from codemoe.merge.options import Options
from tests.merge import make

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("cc", "gcc", "clang")), reason="no C compiler"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    assert library(folder, True) is not None
    return folder


@pytest.fixture(autouse=True)
def _no_kernels() -> Iterator[None]:
    kernels.unload()
    yield
    kernels.unload()


def arrays(kind: str, shape: tuple[int, ...], count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    random = np.random.default_rng(count)
    base = random.standard_normal(shape, np.float32)
    models = [base + random.standard_normal(shape, np.float32) / 2 for _ in range(count)]
    if kind == "coarse":  # many equal magnitudes, zeros and negative zeros
        base, models = np.round(base * 4) / 4, [np.round(m * 4) / 4 for m in models]
        base[base == 0] = -0.0
        models[0][:] = base
    if kind == "sparse":
        for model in models:
            same = random.random(shape) < 0.7
            model[same] = base[same]
    return base, models


WAYS = [
    ("ties", {"density": 0.5}),
    ("ties", {"density": 0.3, "elect": "unweighted", "lambda": 0.7}),
    ("ties", {"density": 0.9, "divide": "count"}),
    ("ties", {"density": 1.0, "normalize": False}),
    ("ties", {"density": 0.4, "rescale": True}),
    ("task_arithmetic", {"normalize": True}),
    ("breadcrumbs_ties", {"density": 0.6, "gamma": 0.05}),
    ("dare_linear", {"density": 0.25}),
    ("dare_ties", {"density": 0.5}),
    ("dare_ties", {"density": 0.3, "elect": "unweighted"}),
    ("della", {"density": 0.5}),
    ("sce", {"select_topk": 0.3}),
]


@needs_compiler
@pytest.mark.parametrize("kind", ["normal", "coarse", "sparse"])
@pytest.mark.parametrize(("shape", "count"), [((83, 1001), 3), ((17,), 2), ((40, 33), 20)])
def test_every_method_is_the_same_to_the_last_bit(
    compiled: Path, kind: str, shape: tuple[int, ...], count: int
) -> None:
    base, models = arrays(kind, shape, count)
    weight = [(-1) ** (m == 1) / (1 + m) for m in range(count)]
    for name, settings in WAYS:
        given = settings if name == "sce" else {"weight": weight, **settings}
        found = []
        for folder in (Path("nowhere"), compiled):
            assert (kernels.load(0, folder) is None) is (folder is not compiled)
            made = merge_arrays(name, models, base, block=5000, key="k", **given)
            found.append(made.view(np.int32))
        kernels.unload()
        assert np.array_equal(*found), (name, settings)


# What is done in one call a block, from bfloat16 to the sum, and what is not.
FUSED = [
    "ties", "ties lambda: 0.7, normalize: false", "ties rescale: true", "task_arithmetic",
    "dare_ties", "dare_linear rescale: false", "della", "breadcrumbs_ties gamma: 0.05",
]  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("way", FUSED)
def test_bfloat16_checkpoints_make_the_same_files(
    compiled: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    method, _, parameters = way.partition(" ")
    recipe = bfloat16_recipe(tmp_path, method, parameters)
    merge_models(recipe, tmp_path / "numpy", Options(prefer={}))
    assert kernels.kernels() is None
    assert kernels.load(10**9, compiled)
    monkeypatch.setattr(inputs, "_CACHED", 1000)  # blocks are of other lengths, too
    merge_models(recipe, tmp_path / "c", Options(prefer={}))
    files = sorted((tmp_path / "c").glob("*.safetensors"))
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "numpy" / file.name).read_bytes()


def bfloat16_recipe(folder: Path, method: str, parameters: str = "") -> Path:
    for seed, name in enumerate(["base", "a", "b"]):
        make.checkpoint(folder / name, seed=seed, dtype=torch.bfloat16)
    density = "" if method == "task_arithmetic" else ", density: 0."
    half, third = (density and density + digit for digit in "53")
    return make.recipe(
        folder / "recipe.yaml",
        f"merge_method: {method}\nbase_model: base\ndtype: bfloat16\nmodels:\n"
        f"- {{model: a, parameters: {{weight: 0.6{half}}}}}\n"
        f"- {{model: b, parameters: {{weight: 0.4{third}}}}}\n"
        f"parameters: {{{parameters}}}\n",
    )


@needs_compiler
@pytest.mark.parametrize("broken", ["base", "b"])
def test_a_number_that_is_not_finite_is_named(compiled: Path, tmp_path: Path, broken: str) -> None:
    recipe = bfloat16_recipe(tmp_path, "dare_ties")
    file = next((tmp_path / broken).glob("*.safetensors"))
    tensors = load_file(file)
    name = next(name for name in tensors if "mlp" in name)
    tensors[name][-1, -1] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    assert kernels.load(10**9, compiled)
    with pytest.raises(UserError) as caught:
        merge_models(recipe, tmp_path / "out", Options(prefer={}))
    assert str(file) in caught.value.what
    assert name in caught.value.what


@needs_compiler
def test_compiled_once_and_only_when_it_pays(tmp_path: Path) -> None:
    assert kernels.load(1000, tmp_path) is None
    assert not any(tmp_path.iterdir())
    assert kernels.load(10**9, tmp_path)
    (file,) = tmp_path.iterdir()
    kernels.unload()
    made = file.stat().st_mtime_ns
    assert kernels.load(1000, tmp_path)
    assert file.stat().st_mtime_ns == made


def test_without_a_compiler_numpy_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_COMPILERS", ())
    assert kernels.load(10**9, tmp_path) is None


@needs_compiler
def test_what_does_not_compile_or_is_another_users_is_not_used(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("int main(")
    with monkeypatch.context() as patched:
        patched.setattr(build, "_SOURCE", broken)
        assert library(tmp_path, True) is None
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert library(compiled, True) is None
