"""kill -9 at 30 random moments, at chosen ones, a full disk, a closed folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny import save_checkpoint, tiny_model

KILLS = 30
pytestmark = pytest.mark.timeout(600)  # 40 s of one core; more where cores are shared


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("kills")
    base = save_checkpoint(tiny_model("mistral"), folder / "base")
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.kill_harness", str(base), str(folder), str(KILLS)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(outcome: dict[str, Any]) -> None:
    found = outcome["random"]
    assert found["dealt"] == KILLS
    assert found["broken"] == 0
    assert found["most_steps_lost"] <= 1  # checkpoints are made each step
    assert found["unequal"] == 0  # every training that got through ended as the undisturbed one
    # How far trainings get between kills is the machine's: a busy one finishes the last one only.
    assert found["different_moments"] >= 2, "the kills must not all fall on one moment"
    assert found["left"] == ["checkpoint-7", "checkpoint-8"]  # nothing stale


def test_a_kill_around_the_seal(outcome: dict[str, Any]) -> None:
    assert outcome["chosen"] == {"seal 1": True, "seal 5": True, "drop_old 4": True}


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(outcome: dict[str, Any]) -> None:
    found = outcome["full"]
    assert found["told"].startswith("1 no space left while writing")
    assert "same command again" in found["told"]
    assert found["sealed"] == [2]
    assert found["whole"]
    assert found["went_on"], "with room again, training goes on from there"


def test_a_folder_of_somebody_else_is_told(outcome: dict[str, Any]) -> None:
    assert outcome["closed"].startswith("2 cannot write")
    assert "Permission denied" in outcome["closed"]
    assert "runs_dir=" in outcome["closed"]
