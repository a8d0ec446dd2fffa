"""One expert's training as a job that can be handed to other processes.

    stage -> run_job            one process: here
          -> launch -> worker   several: torch's own launcher starts them, one a GPU

The stage's process trains nothing then. It keeps the lock and the folder, passes a signal on, and
raises what went wrong in a worker.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codemoe.artifacts import CHECKPOINTS
from codemoe.errors import UserError, WorkError
from codemoe.recipe import ExpertFilter, LoraConfig, TrainConfig

FAILURE = "failure.json"  # among the checkpoints, from the worker that failed first


@dataclass(frozen=True)
class ExpertJob:
    run_dir: str
    name: str
    filters: tuple[dict[str, Any], ...]
    lora: dict[str, Any] | None  # None: whole MLPs
    train: dict[str, Any]
    activation: str
    seed: int
    out: str


def select_rows(rows: Sequence[Any], filters: Sequence[ExpertFilter]) -> list[Any]:
    """The rows that any of the filters admits."""
    return [row for row in rows if any(one.admits(row.language, row.source) for one in filters)]


def run_job(job: ExpertJob) -> None:
    """Train in this process, as one of several when a launcher says so."""
    from codemoe.data.stage import read_split
    from codemoe.models.load import load_base
    from codemoe.models.reference import read_reference
    from codemoe.train.sft import train_adapter

    filters = [ExpertFilter.model_validate(one) for one in job.filters]
    train = TrainConfig.model_validate(job.train)
    run_dir = Path(job.run_dir)

    def rows_of(split: str) -> list[Any]:
        return select_rows(read_split(run_dir / "data", split), filters)

    everything = read_split(run_dir / "data", "train")
    _check_weights(train.source_weights, everything)
    rows = select_rows(everything, filters)
    if not rows:
        raise UserError(
            f"expert {job.name!r}: its filter admits no training row",
            "check experts.define and the data's languages and sources",
        )
    train_adapter(
        load_base(read_reference(run_dir / "base")),
        rows,
        name=job.name,
        lora=None if job.lora is None else LoraConfig.model_validate(job.lora),
        train=train,
        activation=job.activation,
        seed=job.seed,
        out=Path(job.out),
        valid_rows=rows_of("valid") if train.eval_steps is not None else (),
    )


def _check_weights(weights: Mapping[str, float], rows: Sequence[Any]) -> None:
    sources = {row.source for row in rows}
    unknown = sorted(set(weights) - sources)
    if unknown:
        raise UserError(
            f"experts.train.source_weights names {', '.join(unknown)}, which is the source of no "
            f"training row; found {', '.join(sorted(sources))}",
            "name a source as data.sources[].name does, or leave its weight out",
        )


def launch(job: ExpertJob, num_processes: int) -> None:
    """Train in `num_processes` processes of this machine; returns when all are done."""
    import logging

    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from codemoe.train.checkpoints import steps_in
    from codemoe.train.stopping import Stopped

    gpus = torch.cuda.device_count()
    if torch.cuda.is_available() and gpus < num_processes:
        raise UserError(
            f"experts.train.num_processes is {num_processes}, but this machine has {gpus} "
            f"GPU{'s' if gpus > 1 else ''}",
            f"experts.train.num_processes={gpus}",
        )
    checkpoints = Path(job.out) / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    failure = checkpoints / FAILURE
    failure.unlink(missing_ok=True)
    file = checkpoints / "job.json"
    file.write_text(json.dumps(asdict(job)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "codemoe.train.worker", str(file))
    except SignalException as error:
        raise Stopped(error.sigval, (steps_in(checkpoints) or [0])[-1]) from None
    except ChildFailedError as error:
        if failure.is_file():
            told = json.loads(failure.read_text())
            kind = WorkError if told["exit_code"] == 1 else UserError
            raise kind(told["what"], told["fix"]) from None
        rank, first = error.get_first_failure()
        raise WorkError(
            f"expert {job.name}: process {rank} of {num_processes} ended with "
            f"{first.signal_name() if first.exitcode < 0 else f'exit code {first.exitcode}'}",
            "what it said is above; the same command goes on from the last checkpoint",
        ) from None
