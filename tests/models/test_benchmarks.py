"""The benchmarks of the layers run at tiny sizes and write what they measured."""

import importlib
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def _run(
    name: str,
    sizes: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    monkeypatch.syspath_prepend(SCRIPTS)
    benchmark: Any = importlib.import_module(name)
    out = tmp_path / "results" / "found.md"
    arguments = [text for key, value in sizes.items() for text in (f"--{key}", str(value))]
    benchmark.main([*arguments, "--out", str(out)])
    text = out.read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert f"benchmarks/{name}.py {' '.join(arguments)}" in text
    return text


def test_sparse_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"tokens": 32, "top-k": 2, "hidden": 16, "intermediate": 24, "repeats": 3}
    text = _run("sparse_layer", sizes, tmp_path, monkeypatch, capsys)
    for name in ("dense MLP", "codemoe", "HF eager", "HF batched_mm", "HF grouped_mm"):
        assert f"| 32 | 2 | {name} | " in text
    assert "not run" not in text


def test_adapter_moe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {
        "settings": "3x24",
        "steps": 2,
        "hidden": 32,
        "intermediate": 48,
        "layers": 2,
        "vocabulary": 400,
        "repeats": 2,
    }
    text = _run("adapter_moe", sizes, tmp_path, monkeypatch, capsys)
    for name in ("base", "codemoe", "codemoe, token gates", "PEFT", "PEFT X-LoRA"):
        assert f"| 3 x 24 | {name} | " in text
    assert text.count("| 3 x 24 | ") == 5 + 1 + 2
