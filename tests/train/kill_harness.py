"""Trainings that are killed, each in a fork of this process, which has imported everything once.

Run by test_kills.py in a process of its own: python -m tests.train.kill_harness BASE FOLDER KILLS
Prints one JSON object. It computes nothing before it forks: threads do not survive a fork.
"""

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from codemoe.artifacts import CHECKPOINTS, run_stage
from codemoe.errors import UserError
from codemoe.train import trainer as trainer_module
from codemoe.train.checkpoints import damage, steps_in
from tests.train.training import state_of, train_expert

STEPS = 8
OPTIONS: dict[str, Any] = {"steps": STEPS, "checkpoint_steps": 1, "packing": True}


def fork(work: Callable[[], None], kill_after_s: float | None = None) -> int:
    """Run `work` in a child; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
                work()
            code = 0
        finally:
            os._exit(code)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def steps_logged(out: Path) -> int:
    """The last step that wrote its row: it was made after the checkpoint before it."""
    file = out / "metrics.jsonl"
    rows = file.read_text().splitlines() if file.is_file() else []
    try:
        return int(json.loads(rows[-1])["step"]) if rows else 0
    except ValueError:
        return int(json.loads(rows[-2])["step"]) if len(rows) > 1 else 0


def random_kills(base: Path, folder: Path, kills: int) -> dict[str, Any]:
    """Kill at random moments, going on each time, until `kills` were dealt."""
    moments = random.Random(0)
    started = time.monotonic()
    assert fork(lambda: void(train_expert(base, folder / "straight", **OPTIONS))) == 0
    whole_s = time.monotonic() - started
    straight = state_of(folder / "straight", STEPS)
    dealt, lost, broken, finished, unequal, cut_at = 0, 0, 0, 0, 0, set()
    run = 0
    while dealt < kills:
        out = folder / f"run-{run}"
        code = fork(
            lambda out=out: void(train_expert(base, out, **OPTIONS)),  # type: ignore[misc]
            moments.uniform(0.1, 0.9) * whole_s,
        )
        checkpoints = out / CHECKPOINTS
        sealed = steps_in(checkpoints)
        if code == -signal.SIGKILL:
            dealt += 1
            broken += sum(damage(checkpoints / f"checkpoint-{step}") is not None for step in sealed)
            newest = sealed[-1] if sealed else 0
            lost = max(lost, steps_logged(out) - newest)
            cut_at.add(newest)
            if len(sealed) > 3:
                broken += 1
        else:
            assert code == 0, code
            finished += 1
            unequal += state_of(out, STEPS) != straight
            run += 1
    out = folder / f"run-{run}"
    assert fork(lambda: void(train_expert(base, out, **OPTIONS))) == 0
    unequal += state_of(out, STEPS) != straight
    left = sorted(path.name for path in (out / CHECKPOINTS).glob("checkpoint-*"))
    return {
        "dealt": dealt,
        "most_steps_lost": lost,
        "broken": broken,
        "finished": finished + 1,
        "unequal": unequal,
        "different_moments": len(cut_at),
        "left": left,
    }


def chosen_kills(base: Path, folder: Path) -> dict[str, bool]:
    """Kill where it hurts most; whether the run then ends as the undisturbed one."""
    straight = state_of(folder / "straight", STEPS)

    def before(name: str, call: int) -> Callable[[], None]:
        def work() -> None:
            real, calls = getattr(trainer_module, name), 0

            def deadly(*args: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args)

            setattr(trainer_module, name, deadly)
            train_expert(base, folder / f"{name}-{call}", **OPTIONS)

        return work

    results = {}
    for name, call in (("seal", 1), ("seal", 5), ("drop_old", 4)):
        killed = fork(before(name, call)) == -signal.SIGKILL
        out = folder / f"{name}-{call}"
        went_on = fork(lambda out=out: void(train_expert(base, out, **OPTIONS))) == 0  # type: ignore[misc]
        results[f"{name} {call}"] = killed and went_on and state_of(out, STEPS) == straight
    return results


def full_disk(base: Path, folder: Path) -> dict[str, Any]:
    """Files may not grow past a few bytes from the third checkpoint on."""
    out, told = folder / "full" / "python", folder / "told.txt"
    told.touch()
    train = {"steps": 6, "checkpoint_steps": 2}

    def limited() -> None:
        real = trainer_module.seal

        def seal(checkpoint: Path) -> None:
            real(checkpoint)
            if checkpoint.name == "checkpoint-2":
                resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))

        trainer_module.seal = seal
        try:
            stage(train)
        except UserError as error:
            told.write_text(f"{error.exit_code} {error}")

    def stage(train: dict[str, Any]) -> None:
        run_stage(out, "expert", {}, {}, lambda place: void(train_expert(base, place, **train)))

    fork(limited)
    kept = out.parent / f".{out.name}.partial" / CHECKPOINTS
    sealed = steps_in(kept)
    whole = [damage(kept / f"checkpoint-{step}") is None for step in sealed]
    went_on = fork(lambda: stage(train)) == 0
    return {
        "told": told.read_text(),
        "sealed": sealed,
        "whole": all(whole),
        "went_on": went_on and (out / "manifest.json").is_file(),
    }


def not_ours(folder: Path) -> str:
    """A folder of somebody else, tried as nobody."""
    closed = folder / "closed"
    closed.mkdir(mode=0o755)
    with (folder / "told-closed.txt").open("w+") as told:

        def work() -> None:
            if os.getuid() == 0:
                os.setuid(65534)
            else:
                closed.chmod(0o555)
            try:
                run_stage(closed / "python", "expert", {}, {}, void)
            except UserError as error:
                told.write(f"{error.exit_code} {error}")
                told.flush()

        fork(work)
        told.seek(0)
        return told.read()


def void(_: object) -> None:
    return None


def main() -> None:
    base, folder, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    print(
        json.dumps(
            {
                "random": random_kills(base, folder, kills),
                "chosen": chosen_kills(base, folder),
                "full": full_disk(base, folder),
                "closed": not_ours(folder),
            }
        )
    )


if __name__ == "__main__":
    main()
