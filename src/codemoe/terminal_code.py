"""Code on a terminal while it is being written: a line gets its colours when it is complete."""

import sys
from typing import IO, TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from pygments.lexer import Lexer

# Pygments' kinds of tokens, the first that holds counts; colours that light and dark screens have.
_STYLES = (
    ("Token.Comment.Preproc", "yellow"),
    ("Token.Comment", "bright_black italic"),
    ("Token.Keyword", "magenta"),
    ("Token.Literal.String", "green"),
    ("Token.Literal.Number", "yellow"),
    ("Token.Name.Function", "blue"),
    ("Token.Name.Class", "blue"),
    ("Token.Name.Builtin", "cyan"),
    ("Token.Operator.Word", "magenta"),
)
_TAB = 4


def visible(text: str) -> str:
    """A model's text may hold anything; nothing in it may command the terminal."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 32:
        return chr(0x2400 + code)  # the picture of a control character
    return "\N{SYMBOL FOR DELETE}" if 127 <= code < 160 else character


class CodeWriter:
    """`write` takes pieces of any size; where `out` is no terminal it passes them on."""

    def __init__(self, out: IO[str] | None = None, width: int | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._console = Console(
            file=self._out, width=width, markup=False, highlight=False, soft_wrap=True
        )
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._lexer: Lexer | None = None
        self._lines: list[str] = []  # complete
        self._line = ""  # the one being written, shown without colours

    def language(self, name: str | None) -> None:
        """What the code is written in, if that is known before it begins."""
        if name is None or not self._live or self._console.no_color:
            return
        from pygments.lexers import get_lexer_by_name
        from pygments.util import ClassNotFound

        try:
            self._lexer = get_lexer_by_name(name, stripnl=False, ensurenl=False)
        except ClassNotFound:
            self._lexer = None

    def write(self, text: str) -> None:
        if not self._live:
            self._out.write(text)
            self._out.flush()
            return
        *complete, rest = visible(text).expandtabs(_TAB).split("\n")
        for part in complete:
            self._append(part)
            self._end_line()
        self._append(rest)
        self._out.flush()

    def finish(self) -> None:
        """The code is complete; what is written next begins on a line of its own."""
        if self._live:
            if self._line:
                self._end_line()
            self._out.flush()
        else:
            self._out.write("\n")
            self._out.flush()

    def _append(self, text: str) -> None:
        self._line += text
        self._out.write(text)

    def _end_line(self) -> None:
        """Write the line again, in colours: comments and strings may have begun lines before."""
        line, self._line = self._line, ""
        self._lines.append(line)
        if self._lexer is None:
            self._out.write("\n")
            return
        rows = max(1, -(-cell_len(line) // self._console.width))
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        self._out.write(f"{up}\r\x1b[J")
        self._console.print(self._coloured())

    def _coloured(self) -> Text:
        """The newest line."""
        assert self._lexer is not None
        found = Text(end="")
        for kind, value in self._lexer.get_tokens("\n".join(self._lines)):
            found.append(value, next((s for name, s in _STYLES if str(kind).startswith(name)), ""))
        return found.split("\n", allow_blank=True)[len(self._lines) - 1]
