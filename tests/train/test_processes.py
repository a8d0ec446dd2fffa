"""Two processes train as one does; what was not started as the recipe says is told, never run."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from codemoe.errors import UserError
from codemoe.pipeline import refuse_launchers
from codemoe.recipe import TrainConfig
from codemoe.recipe_file import make_recipe
from codemoe.train.sharding import shard
from codemoe.train.trainer import DependableTrainer, check_together
from tests.conftest import run_codemoe
from tests.models.tiny import save_checkpoint, tiny_model
from tests.train.training import make_rows

ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
RECIPE = """
name: one
languages: [python]
data:
  sources: [{kind: rows, path: rows.jsonl}]
  valid_fraction: 0.2
base: {model: base}
experts:
  dense_baseline: false
  lora: {rank: 4}
  train: {steps: 6, batch_size: 2, gradient_accumulation_steps: 4, logging_steps: 1,
    checkpoint_steps: 2, eval_steps: 3, packing: true, warmup_steps: 2,
    load_best_model_at_end: true}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    model = tiny_model("mistral", hidden_size=64, intermediate_size=128)
    save_checkpoint(model, folder / "base")
    rows = [
        {"id": r.id, "group": r.group, "language": r.language, "text": f"{r.text} {i}"}
        | {"code": f"def add_{i}(a, b):\n    return a * {i} + b\n" * (i % 3 + 1)}
        for i, r in enumerate(make_rows(60))
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE)
    for verb in ("data", "base"):
        done = run_codemoe(verb, "r.yaml", cwd=folder, **ENVIRONMENT)
        assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    done = run_codemoe("experts", "r.yaml", cwd=place, **ENVIRONMENT)
    assert done.code == 0, done.err
    expert = place / "runs" / "one" / "experts" / "python"
    return expert.rename(place / "alone")


def _curve(expert: Path) -> list[float]:
    rows = [json.loads(line) for line in (expert / "metrics.jsonl").read_text().splitlines()]
    return [row.get("loss", row.get("eval_loss")) for row in rows]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("parallelism", ["ddp", "fsdp2"])
def test_two_processes_train_as_one_and_stop_at_a_signal(
    parallelism: str, place: Path, alone: Path
) -> None:
    """fsdp2 stops and goes on from shares of weights and moments, put together and parted again."""
    command = [sys.executable, "-m", "codemoe", "experts", "r.yaml", f"name={parallelism}"]
    run = place / "runs" / parallelism
    shutil.copytree(place / "runs" / "one" / "data", run / "data")
    shutil.copytree(place / "runs" / "one" / "base", run / "base")
    processes = ["experts.train.num_processes=2", f"experts.train.parallelism={parallelism}"]
    process = subprocess.Popen(
        [*command, *processes],
        cwd=place,
        env=os.environ | ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    experts = run / "experts"
    metrics = experts / ".python.partial" / "metrics.jsonl"
    deadline = time.monotonic() + 250
    while not metrics.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    if process.returncode != 0:  # 0: it was done before the signal came
        assert process.returncode == 143, told
        assert "stopped by SIGTERM after step" in told
        assert "Traceback" not in told
        done = run_codemoe(*command[3:], *processes, cwd=place, **ENVIRONMENT)
        assert done.code == 0, done.err
    together = experts / "python"
    assert _curve(together) == pytest.approx(_curve(alone), abs=1e-5)
    assert len(_curve(alone)) == 8
    ours, theirs = (load_file(f / "adapter_model.safetensors") for f in (together, alone))
    for name, tensor in theirs.items():
        # AdamW turns rounding in a gradient near zero into a step of another sign.
        assert (ours[name] - tensor).norm() <= 1e-3 * tensor.norm().clamp_min(1e-3), name


def test_a_sharded_expert_has_the_loss_and_gradients_of_a_whole_one(
    place: Path, tmp_path: Path
) -> None:
    """FSDP2 in two gloo processes."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "tests.train.fsdp_harness"),
            *(str(place / "base"), str(tmp_path / "told.json")),
        ],
        cwd=Path(__file__).parents[2],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["world"] == 2
    assert told["sharded"]
    assert told["same_names"]
    assert told["loss"][0] == pytest.approx(told["loss"][1], abs=1e-5)
    assert told["gradient_error"] <= 1e-4


def test_the_benchmark_of_training_runs(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes", reason="one side has a 4-bit base")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    benchmark: Any = importlib.import_module("expert_training")
    monkeypatch.chdir(place)
    out = tmp_path / "found.md"
    sizes = ["--batch", "4", "--steps", "1", "--repeats", "1", "--out", str(out)]
    benchmark.main(["runs/one", *sizes])
    text = out.read_text()
    for side in benchmark.SIDES:
        assert f"| {side} | " in text
    assert "The loss curve is the reference's" in text


def test_a_launcher_around_codemoe_is_refused(place: Path) -> None:
    done = run_codemoe("experts", "r.yaml", cwd=place, WORLD_SIZE="2", RANK="0", LOCAL_RANK="0")
    done.user_error("started as 2 processes at once", "experts.train.num_processes=2")
    refuse_launchers({"WORLD_SIZE": "1"})
    refuse_launchers({})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_mlps_shared_out_train_as_whole_ones(place: Path) -> None:
    whole = ("experts.method=full", "experts.lora={}", "experts.train.steps=4")
    processes = ("experts.train.num_processes=2", "experts.train.parallelism=fsdp2")
    found = {}
    for name, more in (("full", ()), ("full-fsdp2", processes)):
        run = place / "runs" / name
        shutil.copytree(place / "runs" / "one" / "data", run / "data")
        shutil.copytree(place / "runs" / "one" / "base", run / "base")
        done = run_codemoe("experts", "r.yaml", f"name={name}", *whole, *more, cwd=place)
        assert done.code == 0, done.err
        found[name] = run / "experts" / "python"
    assert _curve(found["full-fsdp2"]) == pytest.approx(_curve(found["full"]), abs=1e-5)
    ours, theirs = (load_file(found[n] / "mlp_expert.safetensors") for n in ("full-fsdp2", "full"))
    for name, tensor in theirs.items():
        assert ours[name].shape == tensor.shape
        assert (ours[name] - tensor).norm() <= 1e-3 * tensor.norm(), name


def test_what_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="fsdp2, which shares the model out among processes"):
        TrainConfig(parallelism="fsdp2")
    train = {"parallelism": "fsdp2", "num_processes": 2, "gradient_accumulation_steps": 2}
    recipe = {"name": "x", "base": {"model": "builtin"}, "experts": {"train": train}}
    assert make_recipe(recipe).experts.train.parallelism == "fsdp2"
    for more, key in (
        ({"base": {"model": "builtin", "quantization": "4bit"}}, "quantization=4bit"),
        ({"experts": {"train": train, "lora": {"use_dora": True}}}, "use_dora=true"),
    ):
        with pytest.raises(UserError, match=f"does not go with .*{key}"):
            make_recipe(recipe | more)


def test_a_model_that_stayed_whole_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a library shares nothing out: never a silent training of something else."""
    from torch.distributed import device_mesh, fsdp

    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(device_mesh, "init_device_mesh", lambda *args: None)
    monkeypatch.setattr(fsdp, "fully_shard", lambda *args, **kwargs: None)
    with pytest.raises(UserError, match=r"is fsdp2, but model\.embed.* is whole in every process"):
        shard(tiny_model("mistral"))


def test_batches_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient_accumulation_steps \(3\) must be a multiple"):
        TrainConfig(num_processes=2, gradient_accumulation_steps=3)


def test_training_alone_where_two_were_meant_is_refused() -> None:
    class Alone:
        class args:
            world_size = 1

        class accelerator:
            distributed_type = "NO"

    with pytest.raises(UserError, match="num_processes is 2, but 1 trains together"):
        check_together(Alone(), 2)  # type: ignore[arg-type]
    check_together(Alone(), 1)  # type: ignore[arg-type]
    assert not torch.distributed.is_initialized()


def test_several_gpus_are_not_used_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Hugging Face trainer would turn to nn.DataParallel and multiply the batch."""
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, per_device_train_batch_size=4)
    assert arguments.n_gpu == 0
    arguments._n_gpu = 2  # as on a machine with two
    trainer = DependableTrainer(model=tiny_model("mistral"), args=arguments)
    assert trainer.args.n_gpu == 1
    assert trainer._train_batch_size == 4
    assert "one of 2 GPUs; for all: experts.train.num_processes" in capsys.readouterr().err
