"""`codemoe merge` and `moe` on the command line: which kind of file, options, output.

Run with: pytest tests/merge/test_command.py
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Finished
from tests.merge import make

MERGE = "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: one}, {model: two}]\n"
MOE = "base_model: one\ngate_mode: random\nexperts: [{source_model: one}, {source_model: two}]\n"


def test_a_merge_from_the_file_to_the_folder(
    codemoe: Callable[..., Finished], tmp_path: Path
) -> None:
    for seed, name in enumerate(("one", "two")):
        make.checkpoint(tmp_path / name, seed)
    make.recipe(tmp_path / "m.yaml", MERGE)
    done = codemoe("merge", "m.yaml", "out", "--json", "--threads", 2, "--shard-size", "20KB")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["path"] == "out"
    assert told["made"]
    assert told["bytes"] > 1000
    assert "merge linear" in done.err
    again = codemoe("merge", "m.yaml", "out", "--shard-size", "20KB")
    assert again.out == "out: finished before\n"
    # It is a model like any other.
    make.recipe(tmp_path / "again.yaml", MERGE.replace("two", "out"))
    assert codemoe("merge", "again.yaml", "out2", "--max-memory", "200MB").code == 0


def test_a_mixture_from_the_file_to_the_folder(
    codemoe: Callable[..., Finished], tmp_path: Path
) -> None:
    for seed, name in enumerate(("one", "two")):
        make.checkpoint(tmp_path / name, seed)
    make.recipe(tmp_path / "m.yaml", MOE)
    done = codemoe("moe", "m.yaml", "out", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["format"] == "mixtral"
    assert told["experts"] == ["one", "two"]
    assert "one holds the weights of the base" in done.err
    assert any("outside of its MLPs" in note for note in told["notes"])


def test_bad_usage_is_one_message(codemoe: Callable[..., Finished], tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    merge, moe = make.recipe(tmp_path / "m.yaml", MERGE), make.recipe(tmp_path / "x.yaml", MOE)
    codemoe("merge", merge.name).user_error("one folder to make is expected", "OUT")
    codemoe("merge", merge.name, "a", "b").user_error("found 2 arguments")
    codemoe("merge", moe.name, "out").user_error("mergekit-moe's", f"codemoe moe {moe.name} OUT")
    codemoe("moe", merge.name, "out").user_error(f"codemoe merge {merge.name} OUT")
    codemoe("merge", merge.name, "out").user_error("there is no folder two")
    codemoe("merge", merge.name, "out", "--prefer", "x").user_error("cannot read --prefer x")
    assert codemoe("merge", merge.name, "out", "--seed", "-1").code == 2
    codemoe("merge", merge.name, "out", "--shard-size", "big").user_error("--shard-size is 'big'")
    own = make.recipe(tmp_path / "own.yaml", "name: x\nbase: {model: builtin}\n")
    codemoe("merge", own.name, "--prefer", "a=b").user_error("for recipes of mergekit's")
    (tmp_path / "bad.yaml").write_text("merge_method: [")
    codemoe("merge", "bad.yaml", "out").user_error("bad.yaml, line 1")
    assert not (tmp_path / "out").exists()


MERGING = {"codemoe.merge.command", "codemoe.merge.plan", "codemoe.merge.kernels"}
METHODS = {"codemoe.merge.methods.table", "codemoe.merge.methods.inputs"}
HEAVY = {"torch", "transformers", "pyarrow", "rich", "tokenizers", "huggingface_hub"}


@pytest.fixture
def after(tmp_path: Path) -> Callable[[str, str, str], str]:
    """What an expression is in a process that has run a small recipe."""

    def run(verb: str, text: str, expression: str) -> str:
        for seed, name in enumerate(("one", "two")):
            make.checkpoint(tmp_path / name, seed)
        make.recipe(tmp_path / "m.yaml", text)
        script = (
            "import os, sys\n"
            "from codemoe import cli\n"
            f"sys.argv = ['codemoe', '{verb}', 'm.yaml', 'out']\n"
            "try:\n"
            "    cli.main()\n"
            "except SystemExit:\n"
            f"    print({expression})\n"
        )
        settings = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=settings,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    return run


@pytest.mark.parametrize(
    ("verb", "text", "needless"),
    [
        ("moe", MOE, {*HEAVY, *MERGING, *METHODS, "codemoe.merge.recipe"}),
        ("merge", MERGE, {*HEAVY, "codemoe.merge.assemble", "numpy.random"}),
    ],
)
def test_a_command_imports_only_what_it_runs(
    after: Callable[[str, str, str], str], verb: str, text: str, needless: set[str]
) -> None:
    """Of a small model, start-up is most of the time. A mixture of dense experts merges nothing."""
    loaded = set(after(verb, text, "*sys.modules").split())
    assert "numpy" in loaded
    assert loaded & needless == set()


@pytest.mark.parametrize(("verb", "text"), [("moe", MOE), ("merge", MERGE)])
def test_numpy_starts_no_threads(
    after: Callable[[str, str, str], str], verb: str, text: str
) -> None:
    """Its BLAS would, one a core; and the setting that keeps it from that is gone afterwards."""
    left = after(
        verb, text, "len(os.listdir('/proc/self/task')), 'OPENBLAS_NUM_THREADS' in os.environ"
    )
    assert left == "1 False"
