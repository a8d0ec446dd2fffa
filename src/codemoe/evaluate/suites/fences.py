"""From what a chat model wrote to the code in it: thoughts, fences and words are taken off."""

import ast
import re
from dataclasses import dataclass

from codemoe.evaluate.suites.braces import find_closer
from codemoe.evaluate.suites.problem import BRACED, Problem
from codemoe.evaluate.suites.signature import find_definition, function_name
from codemoe.languages import find_language

_THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
_END = re.compile(r"<\|[\w ]{1,40}\|>|</s>|<(?:eos|end_of_turn)>|\[/?INST\]")
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*$", re.MULTILINE)
# A line that no sentence looks like.
_CODE_LINE = re.compile(
    r"^(?:from [\w.]+ import |import [\w.]+|@\w|(?:async )?def \w+\(|class \w+|\#include|using |"
    r"package |public |private |static |const |let |var |function |func |fn |pub |use |template|"
    r"//|/\*|<\?php|[\w<>\[\]:*& ]+ \w+\([^.!?]*\) *\{|\w+ = )"
)


@dataclass(frozen=True)
class Block:
    """A fenced block: the language it names ("" for none), its code, where its fence begins."""

    tag: str
    code: str
    start: int


def code_in(problem: Problem, answer: str) -> str:
    """The part of an answer that is code for this problem (all of it, when it is nothing but)."""
    text = _THOUGHT.sub("", answer.replace("\r\n", "\n"))
    text = re.sub(r"^\s*(?:<s>|<\|[\w ]{1,40}\|>)", "", text)
    end = _END.search(text)
    text = text[: end.start()] if end else text
    blocks = fenced_blocks(text)
    if not blocks:
        return _without_words(problem, text)
    before = text[: blocks[0].start]
    if not blocks[0].tag and _is_code(problem, before):
        # The fence was opened in the prompt: this one closes it.
        return before
    code = _best(problem, blocks).code
    name = function_name(problem)
    defines = bool(name and find_definition(code, name, problem.language))
    if problem.language == "python" and (defines or not problem.prompt):
        return longest_program(code, problem, defines)
    return code


def fenced_blocks(text: str) -> list[Block]:
    """Every block in order; the last may lack its closing fence (the answer was cut off)."""
    blocks = []
    position = 0
    while (opened := _FENCE.search(text, position)) is not None:
        mark = re.escape(opened.group(1))
        closed = re.compile(rf"^[ \t]{{0,3}}{mark}[ \t]*$", re.MULTILINE).search(text, opened.end())
        end = closed.start() if closed else len(text)
        blocks.append(Block(opened.group(2), text[opened.end() + 1 : end], opened.start()))
        position = closed.end() if closed else len(text)
    return blocks


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
    code = "\n".join(lines) + "\n"
    if problem.language == "python":
        return longest_program(code, problem, defines)
    return code


def parses(code: str) -> bool:
    """Whether this is Python."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def longest_program(code: str, problem: Problem, defines: bool) -> str:
    """Python without the last lines that keep it from being read; as it is, if none can be."""
    before = "" if defines else problem.prompt
    lines = code.rstrip().split("\n")
    for end in range(len(lines), max(0, len(lines) - 100), -1):
        kept = "\n".join(lines[:end])
        if kept.strip() and parses(before + kept + "\n"):
            return kept + "\n"
    return code
