"""A session with a model on a terminal: tasks, answers, and the commands between them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.errors import UserError
from codemoe.languages import get_language
from codemoe.terminal_code import CodeWriter

if TYPE_CHECKING:
    from codemoe.models.ask import Question
    from codemoe.models.load import CodeModel

HELP = """\
Write a task; the answer streams. A line that ends in \\ goes on in the next, and so does all
between two lines of three double quotes.
  /language [NAME]   name the language; /language auto lets the router read it
  /model [NAME]      an expert, base, auto (one expert an answer), token (one a token), or a MODEL
  /history           the tasks so far
  /reset             forget them
  /save FILE         the last answer; the whole session if FILE ends in .md
  /exit              or Ctrl-D
Ctrl-C stops an answer and keeps the session."""
_BLOCK = '"""'


@dataclass(frozen=True)
class Turn:
    text: str
    answer: str
    language: str | None


class Chat:
    """`read(prompt)` gives a line or raises EOFError; `say` prints a remark, away from the code."""

    def __init__(
        self,
        load: Callable[[str], "CodeModel"],
        argument: str,
        question: "Question",
        read: Callable[[str], str],
        say: Callable[[str], None],
        writer: Callable[[], CodeWriter] = CodeWriter,
    ) -> None:
        self.load = load
        self.model = load(argument)
        self.question = question  # all but its text
        self.read, self.say, self.writer = read, say, writer
        self.turns: list[Turn] = []
        self._forgotten = 0  # turns that no longer fit the window

    def run(self) -> None:
        """Until /exit or the end of the input."""
        while True:
            try:
                text = self._next()
            except EOFError:
                return
            except KeyboardInterrupt:
                self.say("\nCtrl-D or /exit ends the session")
                continue
            if text == "/exit":
                return
            try:
                if text.startswith("/"):
                    self.command(text)
                elif text:
                    self.answer(text)
            except UserError as error:
                self.say(f"error: {error}")

    def _next(self) -> str:
        """A task, maybe of several lines, or a command."""
        line = self.read(">>> ")
        if line.strip() == _BLOCK:
            lines = []
            while (line := self.read("... ")).strip() != _BLOCK:
                lines.append(line)
            return "\n".join(lines).strip()
        lines = []
        while line.endswith("\\"):
            lines.append(line[:-1])
            line = self.read("... ")
        return "\n".join([*lines, line]).strip()

    def answer(self, text: str) -> None:
        from codemoe.models.ask import answer, language_of

        writer = self.writer()
        language = self.question.language

        def begin(routing: dict[str, Any] | None) -> None:
            nonlocal language
            if routing is not None and routing["by"] == "the sequence router":
                self.say(f"[{routing['expert']}, {100 * routing['confidence']:.1f} %]")
            language = language or language_of(self.model, routing)
            writer.language(language)

        question = replace(self.question, text=text, earlier=self._earlier(text))
        found = answer(self.model, question, on_begin=begin, on_text=writer.write, stoppable=True)
        writer.finish()
        if found["finish_reason"] == "interrupted":
            self.say("[stopped]")
        elif found["finish_reason"] == "length":
            self.say(f"[cut after {found['tokens']} tokens: --max-new-tokens, or the window]")
        if found["text"].strip():
            self.turns.append(Turn(text, found["text"], language))

    def _earlier(self, text: str) -> tuple[tuple[str, str], ...]:
        """The turns that fit the model's window with this task and room for an answer."""
        from codemoe.data.prompt import encode_prompt
        from codemoe.models.generate import context_window

        window = context_window(self.model)
        turns = [(turn.text, turn.answer) for turn in self.turns[self._forgotten :]]
        while window is not None and turns:
            ids = encode_prompt(self.model.tokenizer, text, self.question.language, turns).input_ids
            if len(ids) + min(self.question.max_new_tokens, window // 4) <= window:
                break
            del turns[0]
            self._forgotten += 1
            self.say("[the window is full: the oldest task is left out]")
        return tuple(turns)

    def command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        known = {
            "/help": lambda _: self.say(HELP),
            "/language": self._language,
            "/model": self._model,
            "/history": self._history,
            "/reset": self._reset,
            "/save": self._save,
        }
        if name not in known:
            raise UserError(f"there is no command {name}", "/help lists them")
        known[name](rest.strip())

    def _language(self, name: str) -> None:
        if name:
            found = None if name == "auto" else get_language(name).name
            self.question = replace(self.question, language=found)
        self.say(f"language: {self.question.language or 'auto'}")

    def _model(self, name: str) -> None:
        mixture = self.model.mixture
        experts = () if mixture is None else mixture.experts
        if name:
            if name not in (*experts, "auto") and not (experts and name in ("base", "token")):
                self.model = self.load(name)
                self._forgotten = 0
            self.question = replace(
                self.question,
                expert=name if name in experts else None,
                token_gates=name == "token" and bool(experts),
                base_alone=name == "base" and bool(experts),
            )
        one = self.question
        now = one.expert or ("base" if one.base_alone else "token" if one.token_gates else "auto")
        mixture = self.model.mixture
        others = "a dense model"
        if mixture is not None:
            others = f"auto, token, {', '.join(mixture.experts)}, base"
        self.say(f"answered by: {now} ({others})")

    def _history(self, _: str) -> None:
        for number, turn in enumerate(self.turns, 1):
            kept = "" if number > self._forgotten else " (left out)"
            self.say(f"{number}. {turn.text}{kept}")
        if not self.turns:
            self.say("no tasks yet")

    def _reset(self, _: str) -> None:
        self.turns, self._forgotten = [], 0
        self.say("forgotten")

    def _save(self, name: str) -> None:
        if not name:
            raise UserError("there is no file to save to", "/save answer.py, or /save session.md")
        if not self.turns:
            raise UserError("there is no answer to save yet")
        path = Path(name).expanduser()
        text = _markdown(self.turns) if path.suffix == ".md" else f"{self.turns[-1].answer}\n"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise UserError(f"{path} exists already", "give another name") from None
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        self.say(f"saved: {path}")


def _markdown(turns: list[Turn]) -> str:
    parts = []
    for turn in turns:
        fence = "```"
        while fence in turn.answer:
            fence += "`"
        parts.append(f"## {turn.text}\n\n{fence}{turn.language or ''}\n{turn.answer}\n{fence}\n")
    return "\n".join(parts)


def say(text: str) -> None:
    """On standard error: the code alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)
