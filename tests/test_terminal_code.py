"""What a terminal shows of code that streams: its screen is played back and looked at."""

import io
import re

import pytest

from codemoe.terminal_code import CodeWriter, visible

CODE = '''def f(x):
    """two
    lines"""
    return "a" + str(x)  # a comment that is longer than the screen is wide, by far

class A: pass'''


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str, width: int) -> list[str]:
    """The rows that a terminal shows after these characters: wrapping, and the three commands that
    the writer uses."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|\x1b\[[\d;]*m|.|\n", written):
        if part.endswith("m") and part.startswith("\x1b"):
            continue
        if part.startswith("\x1b") and part.endswith("A"):
            row -= int(part[2:-1])
        elif part == "\x1b[J":
            rows[row:] = [rows[row][:column]]
        elif part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        else:
            if column == width:
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row][:column] + part + rows[row][column + 1 :]
            column += 1
    return rows


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.parametrize("width", [20, 33, 200])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_screen_holds_the_code_in_the_end(width: int, size: int) -> None:
    out = Terminal()
    writer = CodeWriter(out, width)
    writer.language("python")
    for start in range(0, len(CODE), size):
        writer.write(CODE[start : start + size])
    writer.finish()
    wrapped = [
        line[start : start + width]
        for line in CODE.split("\n")
        for start in range(0, max(1, len(line)), width)
    ]
    assert screen(out.getvalue(), width) == [*wrapped, ""]


def test_kinds_have_their_colours_over_lines() -> None:
    out = Terminal()
    writer = CodeWriter(out, 200)
    writer.language("python")
    writer.write(CODE)
    writer.finish()
    shown = out.getvalue()
    assert "\x1b[35mdef\x1b[0m" in shown
    assert "\x1b[32m    lines" in shown  # a string that began a line before
    assert re.search(r"\x1b\[[\d;]*m# a comment", shown)


def test_a_pipe_gets_the_text_and_nothing_else() -> None:
    out = io.StringIO()
    writer = CodeWriter(out)
    writer.language("python")
    writer.write("a\tb\x1b[31m")
    writer.finish()
    assert out.getvalue() == "a\tb\x1b[31m\n"


def test_without_colours_or_a_known_language_nothing_is_written_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for language, no_color in (("python", "1"), ("no-such-language", ""), (None, "")):
        monkeypatch.setenv("NO_COLOR", no_color)
        out = Terminal()
        writer = CodeWriter(out, 80)
        writer.language(language)
        writer.write("def f():\n  pass")
        writer.finish()
        assert out.getvalue() == "def f():\n  pass\n"


def test_text_of_a_model_commands_no_terminal() -> None:
    assert visible("a\x1b]0;x\x07\x9bb\r\n\t") == "a␛]0;x␇␡b␍\n\t"
