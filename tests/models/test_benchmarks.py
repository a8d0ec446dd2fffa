"""The benchmarks of the layers run at tiny sizes and write what they measured."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

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
    assert text.count("| 3 x 24 | ") == 5 + 2


def test_first_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {
        "settings": "2x24",
        "router-layers": 1,
        "hidden": 32,
        "intermediate": 48,
        "layers": 2,
        "vocabulary": 400,
        "repeats": 2,
    }
    text = _run("first_token", sizes, tmp_path, monkeypatch, capsys)
    for name in ("base", "expert named, no routing", "router at layer 1"):
        assert f"| 2 x 24 | {name} | " in text


def test_gate_starts_counts_right_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    benchmark: Any = importlib.import_module("gate_starts")
    states_LND = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]])  # votes for 0, 1, 0
    samples = [benchmark.Sample(states_LND, 0), benchmark.Sample(states_LND, 1)]
    found = benchmark.accuracy([torch.eye(2)], samples)
    assert (found.tokens, found.texts, found.best_layer) == (0.5, 0.5, 0.5)
    assert benchmark.accuracy([torch.eye(2)], samples[:1]).texts == 1.0
    assert benchmark.accuracy([torch.eye(2).flip(0)], samples[:1]).texts == 0.0  # the wrong twin
