"""The benchmark of the sparse layer runs at tiny sizes and writes what it measured."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sparse_layer.py"


def test_every_contender_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("sparse_layer", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    sizes = {"tokens": 32, "top-k": 2, "hidden": 16, "intermediate": 24, "repeats": 3}
    out = tmp_path / "results" / "layer.md"
    arguments = [text for key, value in sizes.items() for text in (f"--{key}", str(value))]
    benchmark.main([*arguments, "--out", str(out)])
    text = out.read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    for name in ("dense MLP", "codemoe", "HF eager", "HF batched_mm", "HF grouped_mm"):
        assert f"| 32 | 2 | {name} | " in text
    assert "not run" not in text
    assert "benchmarks/sparse_layer.py --tokens 32" in text
