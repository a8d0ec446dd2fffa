"""The command line: help, exit codes, one JSON object, and no traceback for any bad input."""

import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codemoe import __version__, cli
from codemoe.evaluate.sandbox import probe
from codemoe.lock import run_lock
from codemoe.pipeline import STAGES
from tests.conftest import Finished

COMMANDS = (
    "demo",
    "run",
    *(stage.name for stage in STAGES),
    "plan",
    "preview",
    "generate",
    "chat",
    "serve",
    "add-expert",
    "export",
    "score",
    "audit",
    "execute",
    "doctor",
)
RECIPE = """
name: tiny
languages: [python]
data:
  sources: [{kind: rows, path: rows.jsonl}]
  min_rows_per_language: 3
  valid_fraction: 0.2
  test_fraction: 0.2
base: {model: checkpoint}
"""
ROWS = [
    {"text": f"Add {n} to a number", "code": f"def add(a):\n    return a + {n}", "language": "py"}
    for n in range(40)
]
PAIR = {"language": "python", "reference": "a = 1", "prediction": "a = 2"}
PROBLEM = {"id": "a", "language": "python", "prompt": "def f():\n", "tests": "assert f() == 1\n"}


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """`codemoe ARGUMENTS` in this process (quick), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["codemoe", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        seen = capsys.readouterr()
        return Finished(int(ended.value.code or 0), seen.out, seen.err, 0.0)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe whose data stage works."""
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    write(tmp_path / "rows.jsonl", *ROWS)
    return tmp_path


def write(path: Path, *lines: Any) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


# -- help ------------------------------------------------------------------------------------


def test_the_commands_are_those_of_the_design(call: Callable[..., Finished]) -> None:
    shown = call("--help")
    assert shown.code == 0
    listed = shown.out.partition("Commands:")[2].splitlines()
    rows = [line.split(maxsplit=1) for line in listed if line.startswith("  ") and "  " in line[3:]]
    assert [row[0] for row in rows][: len(COMMANDS)] == list(COMMANDS)
    # A summary that is cut says nothing.
    assert not any(row[1].endswith("...") for row in rows)
    assert "codemoe demo --fast" in shown.out
    assert "Exit codes" in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, call: Callable[..., Finished]) -> None:
    shown = call(command, "--help")
    assert shown.code == 0
    assert shown.err == ""
    assert len(shown.out.partition("\n\n")[2].partition("\n\n")[0]) > 20
    if command in ("run", *(stage.name for stage in STAGES)):
        assert "experts.train.steps=50" in shown.out
        assert "--force" in shown.out


def test_a_command_that_is_named_is_made_alone() -> None:
    """The options of all others would take longer to make than to read a recipe."""
    (alone,) = cli._app_for(["moe", "--help"]).registered_commands
    assert alone.name == "moe"
    for arguments in ([], ["--help"], ["mo"], ["--version", "moe"]):
        assert cli._app_for(arguments) is cli.app


def test_version(call: Callable[..., Finished]) -> None:
    assert call("--version").out == f"codemoe {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("run",),
        ("run", "--fast"),
        ("score",),
        ("execute",),
        ("generate",),
        ("export", "model", "out"),
    ],
)
def test_bad_usage_exits_2(arguments: tuple[str, ...], call: Callable[..., Finished]) -> None:
    shown = call(*arguments)
    assert shown.code == 2
    assert "Usage:" in shown.out + shown.err
    assert "Traceback" not in shown.err


# -- recipes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", *(stage.name for stage in STAGES)])
def test_a_missing_recipe(command: str, call: Callable[..., Finished]) -> None:
    call(command, "none.yaml").user_error("no recipe at none.yaml", "codemoe demo")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name: [", ("bad.yaml, line ",)),
        ("name: x\nbases: {}\n", ("base: this key is required", "bases: unknown key")),
        ("- a\n", ("holds a list",)),
        ("", ("is empty",)),
        (RECIPE.replace("[python]", "[klingon]"), ("unknown language 'klingon'; known: python",)),
    ],
)
def test_a_malformed_recipe(
    text: str, parts: tuple[str, ...], call: Callable[..., Finished], tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    call("run", "bad.yaml").user_error("bad.yaml", *parts)
    assert not (tmp_path / "runs").exists()


def test_bad_overrides(call: Callable[..., Finished], folder: Path) -> None:
    call("run", "tiny.yaml", "steps").user_error("cannot read the override 'steps'", "key=value")
    call("run", "tiny.yaml", "x=3").user_error("x: unknown key")
    call("run", "tiny.yaml", "languages=[cobol]").user_error("unknown language 'cobol'")


# -- data ------------------------------------------------------------------------------------


def test_the_data_stage_works_skips_stops_and_is_forced(
    call: Callable[..., Finished], folder: Path
) -> None:
    # Only a command that fails or ends early raises SystemExit; Click raises it at the end, too.
    first = call("data", "tiny.yaml")
    assert (first.code, first.out) == (0, "")
    assert "data: done in" in first.err
    assert (folder / "runs" / "tiny" / "data" / "train.parquet").is_file()
    assert "finished before, skipped" in call("data", "tiny.yaml").err
    stopped = call("data", "tiny.yaml", "data.max_code_chars=500", "data.split_seed=1")
    stopped.user_error(
        "data.max_code_chars: made with 4000, now 500", "data.split_seed: made with 0, now 1"
    )
    forced = call("data", "tiny.yaml", "data.split_seed=1", "--force", "--json")
    assert "data: done in" in forced.err
    (done,) = json.loads(forced.out)["stages"]
    assert (done["stage"], done["made"]) == ("data", True)
    # A seed of training is no seed of the split: the same data, and the same problems held out.
    assert (
        "finished before, skipped" in call("data", "tiny.yaml", "data.split_seed=1", "seed=7").err
    )
    # Another name is another run, and leaves this one alone.
    assert call("data", "tiny.yaml", "name=other").code == 0
    write(folder / "rows.jsonl", *ROWS[:30])
    call("data", "tiny.yaml", "name=other").user_error("files.rows.jsonl: made with")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ("rows.jsonl does not exist", "recipe's data section")),
        (b"", ("rows.jsonl is empty",)),
        (b'{"text": "a", "language": "py"}\n', ("rows.jsonl:1: no key 'code'",)),
        (b'{"text": "a", "code": [], "language": "py"}\n', ("rows.jsonl:1: 'code'",)),
        (b'{"text": "a", "code": "b", "language": "kl"}\n', ("unknown language 'kl'",)),
        (b'{"text": "a", "code": "b", "language": "py"}\n{"te', ("rows.jsonl:2: broken JSON",)),
        (b"\xff\xfe\x00", ("rows.jsonl", "UTF-8")),
        (b'{"text": "a", "code": null, "language": "py"}\n', ("no rows left of 1 read", "no code")),
        (b'{"text": "a", "code": "x = 1 + 2", "language": "java"}\n', ("language not in recipe",)),
    ],
)
def test_bad_sources(
    content: bytes | None, parts: tuple[str, ...], call: Callable[..., Finished], folder: Path
) -> None:
    (folder / "rows.jsonl").unlink()
    if content is not None:
        (folder / "rows.jsonl").write_bytes(content)
    call("data", "tiny.yaml").user_error(*parts)
    assert not (folder / "runs" / "tiny" / "data").exists()


def test_an_unreadable_source(
    call: Callable[..., Finished], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "rows.jsonl":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    call("data", "tiny.yaml").user_error("rows.jsonl", "Permission denied")


def test_rows_without_code_are_listed_with_their_reason(
    call: Callable[..., Finished], folder: Path
) -> None:
    write(folder / "rows.jsonl", *ROWS, {"text": "a", "code": " ", "language": "py"})
    assert call("data", "tiny.yaml").code == 0
    dropped = (folder / "runs" / "tiny" / "data" / "dropped.csv").read_text()
    assert "no code" in dropped


# -- stages in the wrong order, in use, on a full disk ---------------------------------------


@pytest.mark.parametrize("command", ["experts", "merge", "moe", "router", "eval", "report"])
def test_a_stage_without_its_input_says_what_to_run(
    command: str, call: Callable[..., Finished], folder: Path
) -> None:
    call(command, "tiny.yaml").user_error("codemoe ", "RECIPE")


def test_a_run_directory_in_use(call: Callable[..., Finished], folder: Path) -> None:
    with run_lock(folder / "runs" / "tiny"):
        call("data", "tiny.yaml").user_error(f"in use by process {os.getpid()}", "name=other")
    assert call("data", "tiny.yaml").code == 0


def test_a_place_that_cannot_be_written(call: Callable[..., Finished], folder: Path) -> None:
    (folder / "file").write_text("")
    call("data", "tiny.yaml", "runs_dir=file").user_error("cannot write file", "runs_dir=")


def test_no_space_left(
    call: Callable[..., Finished], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")  # as Arrow words it

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        call("data", "tiny.yaml").user_error("no space left", "same command again", code=1)
    assert call("data", "tiny.yaml").code == 0
    assert "skipped" in call("data", "tiny.yaml").err


def test_an_interruption_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: r\nbase: {model: builtin}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "codemoe", "data", "r.yaml"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        assert "generating" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.wait() == 130
    assert "the same command goes on" in rest
    assert "Traceback" not in rest


# -- models ----------------------------------------------------------------------------------


def test_bad_bases(call: Callable[..., Finished], folder: Path) -> None:
    call("base", "tiny.yaml").user_error("'checkpoint'", "hf download")
    (folder / "checkpoint").mkdir()
    call("base", "tiny.yaml").user_error("no tokenizer", "save_pretrained")
    write(folder / "checkpoint" / "config.json", {"model_type": "mistral"})
    call("base", "tiny.yaml").user_error("no tokenizer", "save_pretrained")
    (folder / "checkpoint" / "tokenizer.json").write_text("{")
    call("base", "tiny.yaml").user_error("cannot load the tokenizer", "checkpoint")
    assert not (folder / "runs" / "tiny" / "base").exists()


def test_bad_generate(call: Callable[..., Finished], folder: Path) -> None:
    call("generate", "x", " ").user_error("the text is empty")
    call("generate", "x", "sum", "--language", "klingon").user_error("unknown language 'klingon'")
    call("generate", "nobody/nothing", "sum").user_error("'nobody/nothing'")
    call("generate", ".", "sum").user_error("is no model codemoe can open", "rows.jsonl")
    refused = call("generate", "x", "sum", "--temperature", "nan")
    assert refused.code == 2
    assert "'--temperature'" in refused.err


def test_bad_export(call: Callable[..., Finished], folder: Path) -> None:
    assert call("export", ".", "out").code == 2  # no --to
    call("export", ".", "out", "--to", "onnx").user_error("unknown format 'onnx'", "--to mixtral")
    call("export", ".", "out", "--to", "mixtral").user_error(". is no mixture", "runs/NAME")
    call("export", "x", "out", "--to", "gguf").user_error("x is no mixture")
    call("export", ".", "tiny.yaml", "--to", "mixtral").user_error("tiny.yaml exists", "--force")
    much = ("--max-memory", "much")
    call("export", ".", "out", "--to", "mixtral", *much).user_error("'much'", "such as 4GB")
    assert not (folder / "out").exists()


def test_export(call: Callable[..., Finished], tmp_path: Path) -> None:
    from tests.models.export.mixtures import write_mixture

    write_mixture(tmp_path / "run", "mistral")
    found = one_object(call("export", "run", "out", "--to", "mixtral", "--json"))
    assert {"path", "format", "bytes", "max_abs_logit_difference", "seconds"} <= set(found)
    assert (found["path"], found["format"]) == ("out", "mixtral")
    assert (tmp_path / "out" / "config.json").is_file()
    shown = call("export", "run", "out", "--to", "mixtral", "--force")
    assert shown.code == 0
    assert "out: mixtral" in shown.out
    assert "logits differ" in shown.out


# -- score and execute -----------------------------------------------------------------------


def one_object(shown: Finished) -> dict[str, Any]:
    assert shown.code == 0, shown.err
    value = json.loads(shown.out)
    assert isinstance(value, dict)
    return value


def test_score(call: Callable[..., Finished], tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", PAIR, PAIR)
    found = one_object(call("score", file, "--json"))
    assert list(found) == [
        "n",
        "codebleu",
        "ngram_match",
        "weighted_ngram_match",
        "syntax_match",
        "dataflow_match",
        "floor",
        "interval",
        "pooled",
        "empty",
        "unparsable",
        "wrong_language",
        "looping",
        "raw_tokens",
        "template",
        "fenced",
        "mode",
        "corrected",
        "compat",
        "answered_in",
        "by_language",
    ]
    shown = call("score", file)
    assert shown.code == 0
    assert re.search(rf"CodeBLEU .* {found['codebleu']:.4f} ", shown.out)
    assert "2 answers" in shown.out


def test_score_in_the_packages_way(call: Callable[..., Finished], tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", {**PAIR, "prediction": ""}, {**PAIR, "prediction": ""})
    corrected = one_object(call("score", file, "--json"))
    compat = one_object(call("score", file, "--compat", "--json"))
    assert (corrected["codebleu"], corrected["mode"]) == (0.0, "corrected")
    assert (compat["codebleu"], compat["mode"]) == (0.25, "compat")
    assert compat["compat"]["without_free_points"] == 0.0
    assert corrected["corrected"] == compat["corrected"]
    call("score", file, "--weights", "1,2").user_error("four numbers")
    call("score", file, "--weights", "a").user_error("--weights is 'a'")
    call("score", file, "--workers", "0").user_error("0 workers")
    typescript = write(tmp_path / "ts.jsonl", {**PAIR, "language": "ts"})
    call("score", typescript, "--compat").user_error("ts.jsonl:1", "no TypeScript")
    assert one_object(call("score", typescript, "--json"))["compat"] is None


def test_audit(call: Callable[..., Finished], tmp_path: Path) -> None:
    rows = [{"lang": "python", "output": "", "target": "def f(a):\n    return a\n"}] * 3
    file = write(tmp_path / "theirs.jsonl", *rows)
    (found,) = one_object(call("audit", file, "--json"))["files"]
    assert (found["n"], found["empty"]) == (3, 3)
    assert any("empty" in words for words in found["findings"])
    shown = call("audit", file, "--claimed", "0.25")
    assert shown.code == 0
    assert "Reproducible" in shown.out
    assert "(`dataflow or 1`)" in shown.out
    call("audit", file, "--reference", "gold").user_error("theirs.jsonl", "no column 'gold'")
    call("audit", tmp_path / "none.csv").user_error("cannot read")
    call("audit", write(tmp_path / "x.md", {})).user_error("no known kind of file", ".jsonl")


def test_bad_score(call: Callable[..., Finished], tmp_path: Path) -> None:
    for flag in ((), ("--json",)):
        call("score", "none.jsonl", *flag).user_error("cannot read none.jsonl")
        call("score", tmp_path, *flag).user_error("cannot read")
    file = write(tmp_path / "rows.jsonl", PAIR, {"language": "python", "reference": "a"})
    call("score", file).user_error("rows.jsonl:2: no key 'prediction'")
    call("score", write(file, {**PAIR, "language": "kl"})).user_error("unknown language 'kl'")


def test_bad_execute(call: Callable[..., Finished], tmp_path: Path) -> None:
    suite = write(tmp_path / "suite.jsonl", PROBLEM)
    call("execute", suite).user_error("--samples FILE or --canonical", "--help")
    call("execute", suite, "--samples", "s", "--canonical").user_error("either")
    call("execute", "none.jsonl", "--canonical").user_error("cannot read none.jsonl")
    call("execute", suite, "--canonical").user_error("no 'solution'")
    call("execute", suite, "--canonical", "--k", "one").user_error("--k is 'one'")
    call("execute", suite, "--samples", "none.jsonl").user_error("cannot read none.jsonl")
    samples = write(tmp_path / "s.jsonl", {"id": "b", "completion": ""})
    call("execute", suite, "--samples", samples).user_error("no problem 'b'")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(PROBLEM).encode())[:-9])
    call("execute", cut, "--canonical").user_error("not a complete gzip file")


def test_execute(call: Callable[..., Finished], tmp_path: Path) -> None:
    if probe().tier is None:
        pytest.skip(probe().reason)
    suite = write(tmp_path / "suite.jsonl", {**PROBLEM, "solution": "    return 1\n"})
    found = one_object(call("execute", suite, "--canonical", "--json"))
    assert {"n", "passed", "by_status", "by_language", "pass_at_k", "sandbox_tier"} <= set(found)
    assert (found["n"], found["passed"], found["pass_at_k"]) == (1, 1, {"1": 1.0})
    samples = write(tmp_path / "s.jsonl", {"id": "a", "completion": "    return 2\n"})
    shown = call("execute", suite, "--samples", samples)
    assert shown.code == 0
    assert "passed 0 of 1" in shown.out
    assert "pass@1 = 0.0000" in shown.out
    assert "no change of pass@1 can be told from chance with so few problems" in shown.out
    assert "left out" not in shown.out
    two = write(tmp_path / "two.jsonl", PROBLEM, {**PROBLEM, "id": "b"})
    shown = call("execute", two, "--samples", samples)
    assert "1 problems of the suite have no sample here and are left out" in shown.out


def test_execute_without_a_sandbox_fails_with_the_fix(
    call: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codemoe.evaluate.sandbox import SandboxProbe, pool

    monkeypatch.setattr(pool, "probe", lambda: SandboxProbe(None, "no bwrap", "apt install it"))
    suite = write(tmp_path / "suite.jsonl", {**PROBLEM, "solution": "    return 1\n"})
    call("execute", suite, "--canonical").user_error("no bwrap", "apt install it", code=1)


def test_doctor(call: Callable[..., Finished]) -> None:
    found = one_object(call("doctor", "--json"))
    assert found["codemoe"] == __version__
    assert found["device"]["kind"] in ("cpu", "cuda")
    assert {"python", "cpp"} <= set(found["toolchains"])
    assert set(found["sandbox"]) == {"tier", "reason", "fix"}
    assert found["sandbox"]["tier"] or found["sandbox"]["fix"]
    shown = call("doctor")
    assert shown.code == 0
    for word in ("torch", "C++", "sandbox: "):
        assert word in shown.out


@pytest.mark.parametrize(
    ("command", "code"), [("print('done')", 0), ("sys.exit(3)", 3), ("sys.exit('why')", 1)]
)
def test_the_program_leaves_at_once_and_loses_nothing(command: str, code: int) -> None:
    """What is printed and what is registered for the end comes; no object is taken apart."""
    ended = _program(f"atexit.register(print, 'the end', end=''); {command}")
    assert ended.returncode == code
    assert ended.stdout == ("done\n" if code == 0 else "") + "the end"
    assert ended.stderr == ("why\n" if code == 1 else "")


def test_a_closed_output_is_no_matter_at_the_end() -> None:
    command = f"{sys.executable} -m codemoe --version >&-"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert ended.stderr == ""
    assert ended.returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "--version", "doctor --json", "nothing"])
def test_an_output_that_is_full_is_told(arguments: str, unbuffered: str) -> None:
    command = f"{sys.executable} -m codemoe {arguments} > /dev/full"
    ended = subprocess.run(
        command,
        shell=True,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    if arguments == "nothing":  # prints nothing there
        assert ended.returncode == 2
        assert "No such command" in ended.stderr
    else:
        assert ended.returncode == 1
        assert ended.stderr == "error: cannot write the output: No space left on device\n"


def test_a_crash_ends_as_any_does() -> None:
    ended = _program("1 / 0")
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr
    assert "taken apart" in ended.stdout


def _program(command: str) -> subprocess.CompletedProcess[str]:
    """`python -m codemoe` with this in place of what the command line does."""
    script = (
        "import atexit, sys\n"
        "import codemoe.__main__ as program\n"
        "class Kept:\n"
        "    def __del__(self): print('taken apart')\n"
        "kept = Kept()\n"
        "def main():\n"
        f"    {command}\n"
        "program.main = main\n"
        "program.program()\n"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
