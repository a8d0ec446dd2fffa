"""Stage directories: skip, stop, redo, resume, replace; faults of the disk; the lock of a run."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codemoe import artifacts
from codemoe.artifacts import (
    CHECKPOINTS,
    Redo,
    digest_of,
    flatten,
    is_finished,
    read_manifest,
    run_stage,
    verb_of,
    verify,
)
from codemoe.errors import UserError, WorkError
from codemoe.lock import run_lock

CONFIG = {"experts": {"train": {"steps": 3, "rates": [1, 2]}, "names": {}}, "seed": 0}


def make(
    out: Path,
    text: str = "made",
    config: dict[str, Any] | None = None,
    inputs: dict[str, Path] | None = None,
    redo: Redo = "never",
) -> bool:
    def work(folder: Path) -> None:
        (folder / "deep").mkdir(exist_ok=True)
        (folder / "deep" / "file.txt").write_text(text)

    return run_stage(out, "expert", config or CONFIG, inputs or {}, work, redo=redo)


def content(out: Path) -> str:
    return (out / "deep" / "file.txt").read_text()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def changed(steps: int) -> dict[str, Any]:
    return {**CONFIG, "experts": {"train": {"steps": steps, "rates": [1, 2]}, "names": {}}}


# -- skip, stop, redo ------------------------------------------------------------------------


def test_a_stage_is_made_once(tmp_path: Path) -> None:
    out = tmp_path / "run" / "experts" / "python"
    assert make(out) is True
    before = (out / "manifest.json").stat().st_mtime_ns
    assert make(out, "again") is False
    assert content(out) == "made"
    assert (out / "manifest.json").stat().st_mtime_ns == before
    assert leftovers(out.parent) == []
    manifest = read_manifest(out)
    assert manifest["kind"] == "expert"
    assert manifest["config"] == CONFIG
    assert list(manifest["outputs"]) == ["deep/file.txt"]
    assert manifest["seconds"] >= 0
    assert {"codemoe", "python", "torch"} <= manifest["versions"].keys()


def test_other_settings_stop_and_name_the_keys(tmp_path: Path) -> None:
    out = tmp_path / "python"
    make(out)
    other = {"experts": {"train": {"steps": 4, "rates": [1]}, "lora": {"rank": 2}}, "seed": 0}
    with pytest.raises(UserError) as caught:
        make(out, config=other)
    lines = caught.value.what.splitlines()
    assert lines == [
        f"{out} was made with other settings:",
        "  experts.lora.rank: made with nothing, now 2",
        "  experts.names: made with {}, now nothing",
        "  experts.train.rates: made with [1, 2], now [1]",
        "  experts.train.steps: made with 3, now 4",
    ]
    assert "--force" in caught.value.fix
    assert "name=" in caught.value.fix
    assert content(out) == "made"


def test_a_changed_input_stops(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "python"
    make(data, "rows")
    make(out, inputs={"data": data})
    make(data, "other rows", redo="always")
    with pytest.raises(UserError, match="its input data has changed since"):
        make(out, inputs={"data": data})
    assert make(out, "new", inputs={"data": data}, redo="different") is True
    assert content(out) == "new"


def test_the_same_output_made_again_keeps_what_follows(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "python"
    make(data, "rows")
    make(out, inputs={"data": data})
    make(data, "rows", redo="always")
    assert make(out, inputs={"data": data}) is False


def test_redo_different_keeps_the_same_and_replaces_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "python"
    make(out)
    assert make(out, "again", redo="different") is False
    assert make(out, "other", config=changed(4), redo="different") is True
    assert content(out) == "other"
    assert make(out, "always", config=changed(4), redo="always") is True
    assert content(out) == "always"
    assert leftovers(tmp_path) == []


def test_an_input_that_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        make(tmp_path / "merged", inputs={"experts/python": tmp_path / "experts" / "python"})
    assert "not finished yet" in caught.value.what
    assert "codemoe experts RECIPE" in caught.value.fix
    assert leftovers(tmp_path) == []


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "data"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for redo in ("never", "different", "always"):
        with pytest.raises(UserError, match="in the way"):
            make(out, redo=redo)  # type: ignore[arg-type]
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "expert"}'])
def test_a_broken_manifest_is_a_user_error(text: str, tmp_path: Path) -> None:
    out = tmp_path / "python"
    make(out)
    (out / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json") as caught:
        make(out)
    assert str(out) in caught.value.fix


def test_flatten_names_leaves() -> None:
    tree = {"a": {"b": 1, "c": {}}, "d": [{"e": 2}], "f": None}
    assert flatten(tree) == {"a.b": 1, "a.c": {}, "d": [{"e": 2}], "f": None}


def test_every_kind_has_a_verb() -> None:
    from codemoe.pipeline import STAGES

    verbs = {stage.name for stage in STAGES}
    kinds = ("data", "base", "expert", "dense", "samples", "pairs", "aligned", "merged", "moe")
    kinds += ("router", "eval", "report")
    assert {verb_of(kind) for kind in kinds} == verbs


# -- interruption ----------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it to tidy up."""


def interrupted(out: Path, config: dict[str, Any] | None = None, redo: Redo = "never") -> None:
    def work(folder: Path) -> None:
        (folder / CHECKPOINTS).mkdir()
        (folder / CHECKPOINTS / "step-3").write_text("3")
        raise Killed

    with pytest.raises(Killed):
        run_stage(out, "expert", config or CONFIG, {}, work, redo=redo)


def resumed(
    out: Path, config: dict[str, Any] | None = None, redo: Redo = "never"
) -> tuple[bool, list[str]]:
    """Whether it was made, and what the work found of an earlier attempt."""
    found: list[str] = []

    def work(folder: Path) -> None:
        found.extend(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        (folder / "deep").mkdir(exist_ok=True)
        (folder / "deep" / "file.txt").write_text("resumed")

    made = run_stage(out, "expert", config or CONFIG, {}, work, redo=redo)
    return made, [name for name in found if name != ".attempt"]


def test_an_interrupted_stage_goes_on_with_its_files(tmp_path: Path) -> None:
    out = tmp_path / "python"
    interrupted(out)
    assert not out.exists()
    assert resumed(out) == (True, ["checkpoints/step-3"])
    assert content(out) == "resumed"
    assert not (out / CHECKPOINTS).exists()
    assert list(read_manifest(out)["outputs"]) == ["deep/file.txt"]
    assert leftovers(tmp_path) == []
    verify(out)


def test_an_interrupted_training_is_not_thrown_away_for_other_settings(tmp_path: Path) -> None:
    out = tmp_path / "python"
    interrupted(out)
    with pytest.raises(UserError) as caught:
        resumed(out, changed(9))
    assert "was begun and interrupted with other settings" in caught.value.what
    assert "now 9" in caught.value.what
    assert "--force" in caught.value.fix
    assert resumed(out, changed(9), redo="different") == (True, [])


def test_what_cost_no_training_starts_afresh(tmp_path: Path) -> None:
    def killed(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise Killed

    out = tmp_path / "data"
    with pytest.raises(Killed):
        run_stage(out, "data", CONFIG, {}, killed)
    assert resumed(out, changed(9)) == (True, [])


def test_an_interrupted_redo_leaves_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "python"
    make(out)
    interrupted(out, changed(9), redo="different")
    verify(out)
    assert make(out) is False
    assert resumed(out, changed(9), redo="different") == (True, ["checkpoints/step-3"])
    assert content(out) == "resumed"


def killed_at(
    monkeypatch: pytest.MonkeyPatch, name: str, nth: int, action: Callable[[], Any]
) -> None:
    """Run `action` and kill it just before the nth call of Path.<name>."""
    real = getattr(Path, name)
    calls = 0

    def call(self: Path, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Killed
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, name, call)
        with pytest.raises(Killed):
            action()


@pytest.mark.parametrize("nth", [1, 2, 3])  # manifest into place; old one away; new one into place
def test_a_kill_at_any_rename_loses_nothing(
    nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "python"
    make(out, "old")
    killed_at(
        monkeypatch, "rename", nth, lambda: make(out, "new", config=changed(9), redo="different")
    )
    # Asked for the old one again: it is there, and whole.
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path, copy, ignore=lambda folder, names: ["copy"])
    assert make(copy / "python", "never called") is False
    assert content(copy / "python") == "old"
    verify(copy / "python")
    # Asked for the new one again: it is finished, with its work done at most once more.
    made, found = resumed(out, changed(9), redo="different")
    assert made
    assert content(out) == ("resumed" if nth == 1 else "new")
    assert set(found) == ({"deep/file.txt", ".manifest.json"} if nth == 1 else set())
    verify(out)
    assert list(read_manifest(out)["outputs"]) == ["deep/file.txt"]
    assert leftovers(tmp_path) == []


def test_a_kill_between_manifest_and_rename_does_not_repeat_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "python"
    killed_at(monkeypatch, "rename", 2, lambda: make(out, "hours of training"))
    assert not out.exists()
    assert resumed(out) == (True, [])
    assert content(out) == "hours of training"


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    out = tmp_path / "python"
    seen: list[bool] = []

    def work(folder: Path) -> None:
        (folder / "a").write_text("a")
        seen.append(is_finished(folder) or is_finished(out))

    run_stage(out, "data", {}, {}, work)
    assert seen == [False]
    newest = max(out.iterdir(), key=lambda p: p.stat().st_mtime_ns)
    assert newest.name == "manifest.json"


# -- content ---------------------------------------------------------------------------------


def test_verify_sees_every_change(tmp_path: Path) -> None:
    out = tmp_path / "python"
    make(out)
    verify(out)
    (out / "deep" / "file.txt").write_text("mado")
    with pytest.raises(UserError, match="has changed") as caught:
        verify(out)
    assert "codemoe experts RECIPE --force" in caught.value.fix
    (out / "deep" / "file.txt").unlink()
    with pytest.raises(UserError, match="is missing"):
        verify(out)
    with pytest.raises(UserError, match="not a finished stage"):
        verify(tmp_path)


def test_work_does_not_start_from_a_damaged_input(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "python"
    make(data)
    (data / "deep" / "file.txt").write_text("flipped bit")
    with pytest.raises(UserError, match="has changed"):
        make(out, inputs={"data": data})
    assert not out.exists()


def test_the_digest_depends_on_content_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "python", tmp_path / "b" / "other"
    make(first)
    time.sleep(0.01)
    make(second, config={"experts": {}})
    assert read_manifest(first)["config"] != read_manifest(second)["config"]
    assert digest_of(first) == digest_of(second)
    make(second, "made!", redo="different")
    assert digest_of(first) != digest_of(second)


# -- the disk --------------------------------------------------------------------------------


def _from_none(error: Exception, seen: Exception) -> None:
    try:
        raise error
    except type(error):
        raise seen from None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        # As safetensors, tokenizers and torch.save report a full disk.
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
        Exception("File too large (os error 27)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ],
    ids=lambda e: str(e)[:30],
)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_full_disk_is_one_clear_message(error: Exception, hidden: bool, tmp_path: Path) -> None:
    out = tmp_path / "python"
    make(out, "old")

    def work(folder: Path) -> None:
        (folder / "half").write_text("ha")
        if hidden:
            _from_none(error, UserError("cannot write the report", "choose another folder"))
        raise error

    with pytest.raises(WorkError) as caught:
        run_stage(out, "expert", changed(9), {}, work, redo="different")
    assert caught.value.exit_code == 1
    assert "no space left while writing" in caught.value.what
    assert "intact" in caught.value.what
    assert "same command again" in caught.value.fix
    assert content(out) == "old"
    verify(out)


def test_a_full_disk_at_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "python"
    make(out, "old")
    real = Path.write_text

    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        if "manifest" in self.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(WorkError, match="no space left"):
            make(out, "new", config=changed(9), redo="different")
    assert content(out) == "old"
    assert make(out) is False
    assert make(out, "new", config=changed(9), redo="different") is True
    assert content(out) == "new"


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file system of one megabyte, and the library that most weights are written with."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        import numpy as np
        from safetensors.numpy import save_file
        from codemoe.artifacts import run_stage, verify
        from codemoe.errors import WorkError
        out = Path(sys.argv[1]) / "run" / "base"
        save = lambda n: lambda to: save_file({"w": np.ones(n, np.float32)}, to / "w.safetensors")
        run_stage(out, "base", {"n": 1}, {}, save(100))
        try:
            run_stage(out, "base", {"n": 2}, {}, save(1_000_000), redo="different")
        except WorkError as error:
            verify(out)
            print(error.exit_code, error.what)
    """)
    small = ["--size", str(2**20), "--tmpfs", str(tmp_path)]
    box = ["bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", *small]
    try:
        subprocess.run([*box, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be made here: {error}")
    command = [*box, sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 no space left while writing")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_closed_disk_is_a_user_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="cannot write") as caught:
        make(tmp_path / "run" / "python")
    assert caught.value.exit_code == 2
    assert "runs_dir=" in caught.value.fix


def test_a_file_in_the_way_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        make(tmp_path / "run" / "data")
    with pytest.raises(UserError, match="cannot write"), run_lock(tmp_path / "run"):
        pass


def test_other_errors_of_the_work_are_not_hidden(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "a bug")

    with pytest.raises(FileNotFoundError):
        run_stage(tmp_path / "x", "data", {}, {}, work)


# -- the lock --------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from codemoe.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_in_use_is_refused_with_the_pid_until_that_process_dies(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=f"in use by process {other.pid}") as caught,
            run_lock(tmp_path / "run"),
        ):
            pass
        assert caught.value.exit_code == 2
        assert "name=" in caught.value.fix
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert other.stdout is not None
        other.stdout.close()
    with run_lock(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())
    with run_lock(tmp_path / "run"), run_lock(tmp_path / "other"):
        pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match="cannot be locked"), run_lock(tmp_path):
        pass


def test_versions_are_those_installed() -> None:
    assert json.loads(json.dumps(artifacts.versions()))["codemoe"] == artifacts.__version__
