"""Write Java, JavaScript, C, C++, C# and PHP source from XLCoST tokens.

The release keeps no line structure for these languages, so it is rebuilt: a line per statement,
four blanks per block. Braces of initialisers and object literals stay on their line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from codemoe.data.xlcost_tokens import Token, word_set

_HEADS = word_set(
    "class struct enum interface namespace union trait record extends implements throws"
)
_BLOCK_AFTER = word_set(
    ") else do try finally => -> { } ; const noexcept override static unsafe checked"
)
_SAME_LINE_AFTER_BLOCK = word_set("; , ) . ( ] else catch finally ?. ->")
_HEADERS = word_set("if for while foreach")
_SPACED_PAREN = word_set(
    "if else for foreach while do switch catch return throw case in of yield await typeof "
    "synchronized using lock fixed instanceof new delete echo print and or not xor function"
)
_NOT_OPERANDS = word_set(
    "return case in of else throw typeof new delete await yield instanceof do echo print and or "
    "not xor co_return co_yield"
)
_UNARY = word_set("+ - * & && ! ~ ++ -- @ ...")
_TIGHT = word_set(":: ?. ?->")
_ACCESS = word_set("public private protected")
_TYPES = word_set(
    "int long short char bool float double void unsigned signed size_t auto string wchar_t"
)
_TYPE_NAME = re.compile(r"[A-Z]\w*[a-z]\w*$")
# What may stand between the angle brackets of a type.
_ANGLE_WORDS = word_set(", . [ ] * & ? ::")
_ANGLE_HEADS = word_set(
    "template vector map set pair list queue stack deque array tuple unordered_map unordered_set "
    "multimap multiset unordered_multimap unordered_multiset priority_queue greater less bitset "
    "function unique_ptr shared_ptr make_pair static_cast dynamic_cast const_cast tree "
    "reinterpret_cast numeric_limits hash initializer_list public private protected static final "
    "is_same complex make_tuple make_shared make_unique plus iterator valarray . get"
)


@dataclass
class _Frame:
    """One open bracket: "(", "[", "block" or "init", and what its layout depends on."""

    kind: str
    opener: str = ""  # the token before it: "do" changes what follows a block, "if" a "("
    ternaries: int = 0
    in_case: bool = False
    hanging: list[str] = field(default_factory=list)  # "if", "for" ... whose body has no braces
    statement: list[Token] = field(default_factory=list)  # what to go on with after the end


def write_braces(tokens: Sequence[Token], language: str) -> str:
    """Source of the tokens in a brace language. Adds and removes nothing but white space."""
    writer = _Writer(tokens, language)
    for index in range(len(tokens)):
        writer.write(index)
    writer.break_line()
    return "\n".join(writer.lines) + "\n" if writer.lines else ""


class _Writer:
    """The state of one pass over the tokens."""

    def __init__(self, tokens: Sequence[Token], language: str) -> None:
        self.tokens = tokens
        self.language = language
        self.angles = find_angle_brackets(tokens)
        self.lines: list[str] = []
        self.line = ""
        self.frames: list[_Frame] = [_Frame("block")]
        self.statement: list[Token] = []
        self.before: Token | None = None
        self.operand = False  # the token before ends an operand
        self.glued = False  # the token before allows no blank after it

    def write(self, index: int) -> None:
        token = self.tokens[index]
        follower = self.tokens[index + 1].text if index + 1 < len(self.tokens) else ""
        if token.kind == "line":
            self._end_statement(follower)
            self.lines.append(token.text)
            self.before = None
        elif token.kind == "break":
            self._end_statement(follower)
        elif token.kind == "op" and token.text in ("{", "}", ";", ":"):
            {"{": self._open, "}": self._close, ";": self._semicolon, ":": self._colon}[token.text](
                token, follower
            )
        else:
            self._plain(index, token, follower)

    # -- one token ---------------------------------------------------------------------------

    def _put(self, token: Token, gap: bool, glued: bool = False, operand: bool = False) -> None:
        """Append one token to the line; start the line with its indentation when it is the first.

        Argument `gap`: a blank goes before it, unless the token before forbids one.
        """
        if not self.line:
            blocks = [f for f in self.frames if f.kind == "block"]
            depth = sum(1 + f.in_case + len(f.hanging) for f in blocks) - 1
            follows_case = self.frames[-1].in_case and token.text in ("case", "default")
            self.line = "    " * max(0, depth - follows_case) + token.text
        else:
            clash = (
                self.before is not None
                and self.before.text[-1] == token.text[0]
                and token.text[0] in "+-&"
            )
            self.line += " " * ((gap and not self.glued) or clash) + token.text
        self.statement.append(token)
        self.before, self.glued, self.operand = token, glued, operand

    def break_line(self) -> None:
        if self.line:
            self.lines.append(self.line)
        self.line = ""

    def _plain(self, index: int, token: Token, follower: str) -> None:
        text, frame, before = token.text, self.frames[-1], self.before
        if index in self.angles:
            opens = self.angles[index] == "<"
            head = before is not None and before.text in (*_ACCESS, "template", "static", "final")
            self._put(token, gap=opens and head, glued=opens, operand=not opens)
        elif token.kind != "op":
            pointed = before is not None and before.kind == "op" and self._is_tight(before.text)
            operand = text not in _NOT_OPERANDS or token.kind != "word"
            self._put(token, gap=not pointed, operand=operand)
            if (
                len(self.statement) == 2
                and self.statement[0].text == "@"
                and follower not in ("(", ".")
            ):
                self._end_statement(follower)  # an annotation has its own line
            elif text == "else" and follower not in ("{", "if") and frame.kind == "block":
                self._hang("else")
        elif text in ("(", "["):
            spaced = self._paren_gap() if text == "(" else not self.operand
            self._put(token, gap=spaced, glued=True)
            self.frames.append(_Frame(text, opener=before.text if before else ""))
        elif text in (")", "]"):
            if frame.kind in ("(", "["):
                self.frames.pop()
            self._put(token, gap=False, operand=True)
            header = frame.kind == "(" and frame.opener in _HEADERS
            if header and self.frames[-1].kind == "block" and follower not in ("{", ";"):
                self._hang(frame.opener)
        elif text == ",":
            self._put(token, gap=False)
        elif self._is_tight(text):
            self._put(token, gap=text == "::" and not self.operand, glued=True)
        elif text in ("++", "--") and self.operand:
            self._put(token, gap=False, operand=True)
        elif text == "..." and self.operand:
            self._put(token, gap=False)
        else:
            unary = text in _UNARY and (not self.operand or self._declares_pointer(text))
            self.frames[-1].ternaries += text == "?"
            self._put(token, gap=True, glued=unary)

    def _is_tight(self, text: str) -> bool:
        """Whether the operator joins its operands without blanks: member access."""
        if text == ".":
            return self.language != "php"  # there it joins strings
        return text in _TIGHT or (text == "->" and self.language in ("c", "cpp", "php"))

    def _paren_gap(self) -> bool:
        if self.before is None or self.before.kind != "word":
            return not self.operand
        return self.before.text in _SPACED_PAREN and self.before.text != "print"

    def _declares_pointer(self, text: str) -> bool:
        """Whether `*` or `&` after an operand makes a pointer or reference: `int *p`."""
        if text not in ("*", "&", "&&") or self.language not in ("c", "cpp"):
            return False
        before = self.before
        assert before is not None
        if before.kind == "word":
            first = len(self.statement) == 1 and self.frames[-1].kind == "block"
            return bool(first or before.text in _TYPES or _TYPE_NAME.match(before.text))
        return before.text in (">", ">>") and self.operand  # only angle brackets are operands

    # -- structure ---------------------------------------------------------------------------

    def _end_statement(self, follower: str = "") -> None:
        """Break the line; bodies without braces end here, up to the `if` of a coming `else`."""
        self.break_line()
        self.statement = []
        self.operand = self.glued = False
        hanging = self.frames[-1].hanging
        while hanging and not (hanging.pop() == "if" and follower == "else"):
            pass

    def _hang(self, keyword: str) -> None:
        """Put the body of a header without braces on a line of its own, one step further in."""
        self.break_line()
        self.statement = []
        self.operand = self.glued = False
        self.frames[-1].hanging.append(keyword)

    def _is_block(self) -> bool:
        before, statement, frame = self.before, self.statement, self.frames[-1]
        if before is None or not statement:
            return True
        words = {t.text for t in statement}
        if before.text in _BLOCK_AFTER:
            return True
        if before.text == ":" or (before.kind == "op" and not self.operand):
            return False
        if before.text == "]" or before.text in _NOT_OPERANDS:
            return False
        if frame.kind == "block" and words & _HEADS:
            return "=" not in words or "class" in words
        return "function" in words and before.kind == "word"

    def _open(self, token: Token, follower: str) -> None:
        accessors = self.language == "csharp" and follower in ("get", "set")
        block = self._is_block() and not accessors
        opener = "accessors" if accessors else self.before.text if self.before is not None else ""
        tight = not block and self.before is not None and self.before.text in ("(", "[", "{")
        self._put(token, gap=not tight, glued=not block)
        self.frames.append(
            _Frame("block" if block else "init", opener=opener, statement=self.statement)
        )
        if block:
            self.statement = []
            if follower != "}":
                self.break_line()
            self.glued = False
        self.operand = False

    def _close(self, token: Token, follower: str) -> None:
        while len(self.frames) > 1 and self.frames[-1].kind in ("(", "["):
            self.frames.pop()
        frame = self.frames.pop() if len(self.frames) > 1 else _Frame("block")
        if frame.kind == "init":
            self._put(token, gap=False, operand=True)
            if frame.opener == "accessors" and follower != "=":
                self._end_statement(follower)
            return
        if self.before is None or self.before.text != "{" or not self.line:
            self.break_line()
        self._put(token, gap=False, operand=True)
        self.statement = [*frame.statement, token]
        typedef = bool(frame.statement) and frame.statement[0].text == "typedef"
        goes_on = (
            follower in _SAME_LINE_AFTER_BLOCK
            or typedef
            or (frame.opener == "do" and follower == "while")
        )
        if not goes_on and self.frames[-1].kind == "block":
            self._end_statement(follower)

    def _semicolon(self, token: Token, follower: str) -> None:
        self._put(token, gap=False)
        if self.frames[-1].kind == "block":
            self._end_statement(follower)

    def _colon(self, token: Token, follower: str) -> None:
        frame = self.frames[-1]
        words = [t.text for t in self.statement]
        if frame.ternaries:
            frame.ternaries -= 1
            self._put(token, gap=True)
        elif frame.kind == "block" and words[:1] in (["case"], ["default"]):
            frame.in_case = False  # the label itself stands at the level of the switch
            self._put(token, gap=False)
            frame.in_case = True
            if follower != "{":
                self._end_statement()
        elif frame.kind == "block" and len(words) == 1 and words[0] in _ACCESS:
            self.line = self.line[4:] if self.line.startswith("    ") else self.line
            self._put(token, gap=False)
            self._end_statement()
        else:
            label = frame.kind == "init" or (frame.kind == "block" and len(words) == 1)
            returns = self.before is not None and self.before.text == ")" and "function" in words
            self._put(token, gap=not (label or returns))


def find_angle_brackets(tokens: Sequence[Token]) -> dict[int, str]:
    """Positions of the `<`, `>` and `>>` that enclose type arguments, with "<" or ">" for each."""
    found: dict[int, str] = {}
    for start, token in enumerate(tokens):
        if token.text != "<" or token.kind != "op" or start in found or not start:
            continue
        head = tokens[start - 1]
        if not (head.text in _ANGLE_HEADS or (head.kind == "word" and _TYPE_NAME.match(head.text))):
            continue
        marks, depth = {start: "<"}, 1
        for at in range(start + 1, len(tokens)):
            text = tokens[at].text
            if text == "<":
                depth += 1
                marks[at] = "<"
            elif text in (">", ">>", ">>>"):
                depth -= len(text)
                marks[at] = ">"
            elif tokens[at].kind == "op" and text not in _ANGLE_WORDS:
                break
            if depth <= 0:
                break
        if depth == 0:
            found |= marks
    return found
