"""What all tests share: no network, no threads that outlive a fork, and a tiny checkpoint."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# A shell starts background jobs with Ctrl-C ignored, and every program started here would inherit
# that: then tests that interrupt one wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end: exit code, what it printed, and its CPU seconds."""

    code: int
    out: str
    err: str
    cpu_s: float

    def user_error(self, *parts: str, code: int = 2) -> None:
        """Assert a clear message with these parts, the exit code, and nothing on stdout."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err, self.err
        assert self.out == ""
        assert "error: " in self.err
        for part in parts:
            assert part in self.err, self.err


def run_codemoe(*arguments: object, cwd: Path | None = None, **environment: str) -> Finished:
    """`codemoe ARGUMENTS` in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "codemoe", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Finished(done.returncode, done.stdout, done.stderr, cpu_s)


@pytest.fixture
def codemoe(tmp_path: Path) -> Callable[..., Finished]:
    """The command line, run in an empty folder."""

    def call(*arguments: object, **environment: Any) -> Finished:
        return run_codemoe(*arguments, cwd=tmp_path, **environment)

    return call


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Mistral with a tokenizer, in Hugging Face's format. Read only."""
    from tests.models.tiny import save_checkpoint, tiny_model

    return save_checkpoint(tiny_model("mistral"), tmp_path_factory.mktemp("tiny") / "checkpoint")


@pytest.fixture(scope="session")
def sure_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with larger logits: less even in what it draws, so that it learns in few steps."""
    from tests.models.tiny import save_checkpoint, tiny_model

    model = tiny_model("mistral")
    model.lm_head.weight.data.mul_(6)
    return save_checkpoint(model, tmp_path_factory.mktemp("sure") / "checkpoint")
