"""From what a chat model wrote to the code in it: thoughts, fences and words are taken off."""

import ast
import html
import re
import textwrap
from collections.abc import Iterator

from codemoe.evaluate.fenced import Block, fenced_blocks
from codemoe.evaluate.suites.braces import find_closer
from codemoe.evaluate.suites.problem import BRACED, Problem
from codemoe.evaluate.suites.signature import find_definition, function_name
from codemoe.languages import find_language

# The prompt in its template, which some tools write out again before the answer.
_ASKED = re.compile(
    r"\A\s*(?:<s>\s*)?(?:\[INST\].*?\[/INST\]|<\|im_start\|>(?:system|user).*?<\|im_start\|>assistant)",
    re.DOTALL,
)
# Opened by the prompt, in some templates.
_THOUGHT = re.compile(
    r"(?:<(think|thinking|thought|reasoning)>.*?|\A.*)</(?(1)\1|think)>\s*", re.DOTALL
)
# Other marks than fences: MBPP's own, and CodeLlama's.
_MARKED = re.compile(r"\[(?:BEGIN|PYTHON)\][ \t]*\n(.*?)(?:\[DONE\]|\[/PYTHON\]|\Z)", re.DOTALL)
_LITERAL = re.compile(r"""\"[^"\n]*\"|'[^'\n]*'""")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|#x?[0-9a-fA-F]+);")
_END = re.compile(r"<[|\uff5c][\w \u2581]{1,40}[|\uff5c]>|</s>|<(?:eos|end_of_turn)>|\[/?INST\]")
# A line that no sentence looks like.
_CODE_LINE = re.compile(
    r"^(?:from [\w.]+ import |import [\w.(\"{*]|@\w|(?:async )?def \w+\(|class \w+|\#include|"
    r"using |package |public |private |static |const |let |var |function |func |fn |pub |use |"
    r"template|//|/\*|<\?php|[\w<>\[\]:*& ]+ \w+\([^.!?]*\) *\{|\w+ = )"
)
# A line of three words and more with no sign of code between them, or a point of a list.
_SENTENCE = re.compile(
    r"^[ \t]*(?:[-*#>]+ |\d+\. )?[*`\"(]*[A-Za-z][^\s;{}=]*(?:[ ,:]+[^\s;{}=]+){2,}$"
)


def code_in(problem: Problem, answer: str) -> str:
    """The part of an answer that is code for this problem (all of it, when it is nothing but)."""
    text = _ASKED.sub("", answer.replace("\r\n", "\n").removeprefix("\ufeff"))
    text = _THOUGHT.sub("", text)
    text = re.sub(r"^\s*(?:<s>|<\|[\w ]{1,40}\|>)", "", text)
    end = _END.search(text)
    text = _unescaped(text[: end.start()] if end else text)
    blocks = fenced_blocks(text)
    if not blocks:
        marked = _MARKED.search(text)
        return _without_words(problem, marked.group(1) if marked else text)
    before = text[: blocks[0].start]
    if not blocks[0].tag and _is_code(problem, before):
        # The fence was opened in the prompt: this one closes it.
        return before
    best = _best(problem, blocks)
    if best.tag in ("md", "markdown") and (inside := fenced_blocks(best.code)):
        best = _best(problem, inside)  # a whole answer, quoted
    code = best.code
    name = function_name(problem)
    defines = bool(name and find_definition(code, name, problem.language))
    if problem.language == "python":
        return longest_program(code, problem, defines)
    return code


def _unescaped(text: str) -> str:
    """Text in which every `<`, `>` and `&` is an HTML entity, without these.

    A program about HTML has entities, too, but in its strings.
    """
    if "<" in text or ">" in text or "&" in _ENTITY.sub("", text):
        return text
    return html.unescape(text) if _ENTITY.search(_LITERAL.sub("", text)) else text


def _best(problem: Problem, blocks: list[Block]) -> Block:
    """The first that defines the function, in the problem's language rather than in another."""

    def names_it(block: Block) -> bool:
        row = find_language(block.tag) if block.tag else None
        return row is None or row.name == problem.language

    own = [block for block in blocks if names_it(block)] or blocks
    name = function_name(problem)
    defining = [b for b in own if name and find_definition(b.code, name, problem.language)]
    return (defining or own)[0]


def _is_code(problem: Problem, text: str) -> bool:
    """Whether a text is code that goes on from the prompt, or defines the function itself."""
    if not text.strip():
        return False
    name = function_name(problem)
    if name and find_definition(text, name, problem.language):
        first = next(line for line in text.splitlines() if line.strip())
        return bool(_CODE_LINE.match(first)) or first[:1].isspace()
    if problem.language in BRACED:
        return bool(problem.prompt) and find_closer(text, problem.language) is not None
    return text.lstrip("\n")[:1].isspace() if problem.prompt else parses(text)


def _without_words(problem: Problem, text: str) -> str:
    """Drop sentences before and after code that is not fenced."""
    lines = text.strip("\n").split("\n")
    first = next((line for line in lines if line.strip()), "")
    name = function_name(problem)
    defines = bool(name and find_definition(text, name, problem.language))
    is_whole = defines or not problem.prompt
    if problem.language == "python" and is_whole and parses(text):
        return text
    if is_whole and not first[:1].isspace():
        start = next((i for i, line in enumerate(lines) if _CODE_LINE.match(line)), 0)
        lines = lines[start:]
    if problem.language in BRACED and defines:
        lines = _without_last_words(lines)
    code = "\n".join(lines) + "\n"
    if problem.language == "python":
        return longest_program(code, problem, defines)
    return code


def _without_last_words(lines: list[str]) -> list[str]:
    """Lines up to the sentences behind the last line of code."""
    end = len(lines)
    while end and _is_words(lines[end - 1]):
        end -= 1
    return lines[:end]


def _is_words(line: str) -> bool:
    return not line.strip() or bool(_SENTENCE.match(line) and not _CODE_LINE.match(line))


def parses(code: str) -> bool:
    """Whether this is Python."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def longest_program(code: str, problem: Problem, defines: bool) -> str:
    """Python without the last lines that keep it from being read; as it is, if none can be.

    A body that no prompt could go on with as it stands is moved to where the prompt's body is.
    """
    before = "" if defines else problem.prompt
    lines = code.rstrip().split("\n")
    for end in range(len(lines), max(0, len(lines) - 100), -1):
        kept = "\n".join(lines[:end])
        for fitted in _fitted(kept, before):
            if kept.strip() and parses(before + fitted + "\n"):
                return fitted + "\n"
    return code


def _fitted(body: str, prompt: str) -> Iterator[str]:
    """The ways to put a body behind a prompt: as it is, with the blanks of its first line back
    (which are lost where answers are stripped), with the prompt's indentation."""
    yield body
    if prompt:
        indent = indent_of(prompt)
        first = body.lstrip("\n")
        if not first[:1].isspace():
            yield indent + first
        yield textwrap.indent(textwrap.dedent(body), indent)


def indent_of(prompt: str) -> str:
    """What the last line of a prompt begins with, or four blanks."""
    last = next((line for line in reversed(prompt.split("\n")) if line.strip()), "")
    return last[: len(last) - len(last.lstrip())] or "    "
