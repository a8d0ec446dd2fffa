"""`codemoe chat`: what a session does with lines, and the command as a program on a terminal."""

import io
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from codemoe.data.prompt import encode_prompt
from codemoe.models import ask
from codemoe.models.generate import generate_batch
from codemoe.models.load import CodeModel, load_model
from codemoe.models.routes import Route
from codemoe.terminal_chat import Chat
from codemoe.terminal_code import CodeWriter
from tests.conftest import run_codemoe
from tests.models.mixtures import save_mixture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_mixture(tmp_path_factory.mktemp("chat"), max_position_embeddings=256)


@pytest.fixture(scope="module")
def mixture(folder: Path) -> CodeModel:
    return load_model(str(folder))


class Session:
    """A chat with lines from a list; `out` is the code, `said` the rest."""

    def __init__(self, model: CodeModel, lines: Iterable[str], tokens: int = 40) -> None:
        self.lines: Iterator[str] = iter(lines)
        self.out, self.said = io.StringIO(), []
        self.chat = Chat(
            lambda name: self.load(name, model),
            "given",
            ask.Question("", max_new_tokens=tokens),
            self.read,
            self.said.append,
            lambda: CodeWriter(self.out),
        )
        self.chat.run()

    def load(self, name: str, model: CodeModel) -> CodeModel:
        return model if name == "given" else load_model(name)

    def read(self, prompt: str) -> str:
        try:
            return next(self.lines)
        except StopIteration:
            raise EOFError from None


def test_earlier_tasks_are_read_again(mixture: CodeModel) -> None:
    def expected(text: str, earlier: list[tuple[str, str]]) -> str:
        prompt = encode_prompt(mixture.tokenizer, text, None, earlier)
        return generate_batch(mixture, [prompt], Route("sequence"), max_new_tokens=40)[0].text

    first, second = Session(mixture, ["x y", "z"]).chat.turns
    assert first.answer == expected("x y", [])
    assert second.answer == expected("z", [("x y", first.answer)])
    (alone,) = Session(mixture, ["x y", "/reset", "z"]).chat.turns
    assert alone.answer == expected("z", [])
    assert alone.answer != second.answer


def test_who_answers_and_in_which_language(mixture: CodeModel) -> None:
    lines = ["/model b", "x y", "/reset", "/model base", "x y", "/reset", "/model auto"]
    session = Session(mixture, [*lines, "/language java", "x y"])
    (last,) = session.chat.turns
    assert last.language == "java"
    for question in (ask.Question("x y", "java", 40), ask.Question("x y", None, 40, expert="b")):
        assert ask.answer(mixture, question)["text"] in session.out.getvalue()
    assert any("answered by: base" in line for line in session.said)
    assert any("language: java" in line for line in session.said)


def test_lines_that_go_on(mixture: CodeModel) -> None:
    session = Session(mixture, ["one \\", "two", '"""', "three", "", "four\\", '"""'])
    assert [turn.text for turn in session.chat.turns] == ["one \ntwo", "three\n\nfour\\"]


def test_mistakes_are_told_and_the_session_goes_on(mixture: CodeModel, tmp_path: Path) -> None:
    taken = tmp_path / "taken.py"
    taken.write_text("mine")
    lines = ["/nothing", "/language klingon", "/model nobody/nothing", "/save", "/save x.py"]
    session = Session(mixture, [*lines, "x y", f"/save {taken}", "/history", "/exit", "z"])
    told = "\n".join(session.said)
    for words in ("no command /nothing", "klingon", "nobody/nothing", "no file", "no answer"):
        assert words in told
    assert "exists already" in told
    assert "1. x y" in told
    assert taken.read_text() == "mine"
    assert len(session.chat.turns) == 1


def test_answers_and_sessions_are_saved(mixture: CodeModel, tmp_path: Path) -> None:
    session = Session(mixture, ["x y", "z", f"/save {tmp_path}/a.py", f"/save {tmp_path}/all.md"])
    answers = [turn.answer for turn in session.chat.turns]
    assert (tmp_path / "a.py").read_text() == answers[1] + "\n"
    saved = (tmp_path / "all.md").read_text()
    assert all(answer in saved for answer in answers)
    assert "## x y" in saved


def test_what_no_longer_fits_the_window_is_left_out_and_told(mixture: CodeModel) -> None:
    session = Session(mixture, [f"x y {number}" for number in range(8)], tokens=40)
    assert len(session.chat.turns) == 8
    assert any("window is full" in line for line in session.said)
    assert not any("error" in line for line in session.said)


def test_an_interrupt_stops_the_answer_and_keeps_the_session(
    mixture: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def write(self: CodeWriter, text: str) -> None:
        written.append(text)
        if len(written) == 25:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(CodeWriter, "write", write)
        session = Session(mixture, ["x y"], tokens=50)
    assert "[stopped]" in session.said
    (turn,) = session.chat.turns
    assert 0 < len(turn.answer) < len(ask.answer(mixture, ask.Question("x y", None, 50))["text"])


def test_generate_reads_a_pipe_and_streams_plain_text(folder: Path) -> None:
    asked = ["generate", str(folder), "--max-new-tokens", "9", "--trace"]
    argument = run_codemoe(*asked, "x y")
    command = [sys.executable, "-m", "codemoe", *asked]
    piped = subprocess.run(command, input="x y\n", capture_output=True, text=True)
    assert piped.returncode == argument.code == 0, piped.stderr
    assert piped.stdout == argument.out
    assert "\x1b" not in piped.stdout
    assert "routing" in piped.stderr


def test_chat_on_a_terminal(folder: Path) -> None:
    """A real pseudo-terminal: an answer, Ctrl-C at the prompt, and the end by Ctrl-D."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "codemoe", "chat", str(folder), "--max-new-tokens", "200"]
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(slave)
    seen = ""

    def until(found: Callable[[], bool], key: bytes = b"") -> None:
        """Reads until `found`; presses `key` again and again, as a person does.

        A key that arrives after the prompt is written and before the line editor holds the
        terminal is lost: no sign on the terminal tells when that moment is over.
        """
        nonlocal seen
        deadline, next_press = time.monotonic() + 90, 0.0
        while not found():
            assert time.monotonic() < deadline, seen
            if key and process.poll() is None and time.monotonic() > next_press:
                os.write(master, key)
                next_press = time.monotonic() + 1
            if select.select([master], [], [], 0.2)[0]:
                try:
                    seen += os.read(master, 65536).decode("utf-8", "replace")
                except OSError:
                    return

    try:
        until(lambda: ">>> " in seen)
        os.write(master, b"/language java\n")
        until(lambda: "language: java" in seen)
        os.write(master, b"x y\n")
        until(lambda: seen.count(">>> ") >= 3)
        until(lambda: ">>> " in seen.partition("ends the session")[2], key=b"\x03")
        until(lambda: process.poll() is not None, key=b"\x04")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _take_terminal() -> None:
    """The terminal becomes the new session's, so that its Ctrl-C is a signal there."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
