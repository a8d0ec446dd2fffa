"""Model answers -> programs: stop rules, repeated prompts, whole functions, bodies alone."""

import re
import textwrap
from dataclasses import dataclass, replace

from codemoe.evaluate.suites.braces import find_closer
from codemoe.evaluate.suites.fences import code_in, indent_of, longest_program
from codemoe.evaluate.suites.humaneval_x import GO_IMPORTS
from codemoe.evaluate.suites.problem import Problem, continue_prompt
from codemoe.evaluate.suites.signature import find_definition, function_name

_IMPORT = re.compile(
    r"^[ \t]*(?:import|using|use|package|#include)\b[^\n{]*;?[^\n]*\n?", re.MULTILINE
)
_MAIN = re.compile(r"^[^\n;{}]*\b(?:main|Main)\s*\([^)]*\)[^;{}]*\{", re.MULTILINE)
_CLASSES = frozenset({"java", "csharp"})


@dataclass(frozen=True)
class Extracted:
    """What an answer comes to: a completion for the prompt, or a whole program."""

    text: str
    is_program: bool

    def program(self, problem: Problem) -> str:
        return self.text if self.is_program else problem.program(self.text)


def cut(problem: Problem, completion: str) -> str:
    """A completion up to where its problem's stop rules end it.

    Stop texts and what follows go. In brace languages it ends with the brace that closes the last
    block of the prompt, or before the function's, where the tests bring that along.
    """
    ends = [at for text in problem.stop if (at := completion.find(text)) >= 0]
    kept = completion[: min(ends)] if ends else completion
    levels = 1 if problem.tests_close else problem.open_braces
    if levels:
        closer = find_closer(kept, problem.language, levels)
        if closer is not None:
            kept = kept[:closer] if problem.tests_close else kept[: closer + 1] + "\n"
    return kept


def is_finished(problem: Problem, completion: str) -> bool:
    """Whether more tokens could change nothing: a stop rule has ended this completion."""
    return len(cut(problem, completion).rstrip()) < len(completion.rstrip()) or (
        problem.open_braces > 0
        and not problem.tests_close
        and find_closer(completion, problem.language, problem.open_braces) is not None
    )


def extract(problem: Problem, answer: str) -> Extracted:
    """The program in a model's answer, whatever it wrote around or instead of the completion."""
    code = code_in(problem, answer)
    if not problem.prompt:
        return Extracted(code, True)
    repeated = _after_prompt(problem.prompt, code)
    if repeated is not None:
        if problem.language == "python":
            return Extracted(longest_program(repeated, problem, False), False)
        return Extracted(cut(problem, repeated), False)
    name = function_name(problem)
    found = find_definition(code, name, problem.language) if name else None
    if name is not None and found is not None:
        if problem.language == "python":
            return Extracted(_redefined(problem, code), True)
        return _rebuilt(problem, code, *found)
    if code.lstrip("\n")[:1].isspace():
        code = cut(problem, code)
    return Extracted(cut(problem, _indented(problem, code)), False)


def _after_prompt(prompt: str, code: str) -> str | None:
    """What follows the prompt where the answer repeats it; white space may differ."""
    words = [re.escape(word) for word in prompt.split()]
    match = re.match(r"\s*" + r"\s+".join(words) + r"[ \t]*\n?", code)
    return code[match.end() :] if match else None


def _indented(problem: Problem, code: str) -> str:
    """A Python body that stands at the left margin, moved to where the prompt's body is."""
    lines = [line for line in code.split("\n") if line.strip()]
    if problem.language != "python" or not lines:
        return code
    indent, found = indent_of(problem.prompt), lines[0][:1]
    if found == indent[:1]:
        return code
    # At the left margin, or with tabs where the prompt has blanks (or the other way round).
    return textwrap.indent(textwrap.dedent(code.expandtabs(4)), indent)


def _redefined(problem: Problem, code: str) -> str:
    """The prompt keeps its imports and helpers; its function is defined again, by the answer."""
    return f"{problem.prompt.rstrip()}\n{indent_of(problem.prompt)}pass\n\n\n{code}"


def _rebuilt(problem: Problem, code: str, start: int, announced: int) -> Extracted:
    """A whole function or class of a brace language, in the frame that the tests expect.

    What the answer has beside the function goes in front of it, without a `main` of its own: the
    tests bring theirs, and sometimes the brace that ends the function.
    """
    language = problem.language
    code = re.sub(r"<\?php|\?>", "", code) if language == "php" else code
    found = find_definition(code, function_name(problem) or "", language)
    start, announced = found or (start, announced)
    opened = code.find("{", announced - 1)
    if opened < 0:  # an arrow without a body
        return Extracted(problem.prompt[: _signature_start(problem)] + code, True)
    closer = find_closer(code[opened + 1 :], language)
    end = len(code) if closer is None else opened + 1 + closer
    function, before, after = code[start:end], code[:start], code[end + 1 :]
    head = problem.prompt[: _signature_start(problem)]
    imports = ""
    if language in _CLASSES:
        imports = "".join(_IMPORT.findall(before))
        before = _members_before(_IMPORT.sub("", before), language)
        outer = find_closer(after, language)
        after = after if outer is None else after[:outer]
    elif language == "rust":
        before = "".join(_new_uses(before, problem.prompt))
    elif language == "go":
        before = _PACKAGE.sub("", before)
        if problem.assemble is continue_prompt:  # which cannot join two import blocks
            before = GO_IMPORTS.sub("", before)
    helpers = _without_main(before, language) + _without_main(after, language)
    closing = "" if problem.tests_close else "\n" + "}" * problem.open_braces + "\n"
    framed = replace(problem, prompt=imports + head)
    return Extracted(framed.program(f"{helpers.strip()}\n{function}{closing}"), True)


_PACKAGE = re.compile(r"^package \w+\s*$", re.MULTILINE)


def _signature_start(problem: Problem) -> int:
    """Where the line begins in which the prompt begins its function."""
    found = find_definition(problem.prompt, function_name(problem) or "", problem.language)
    return found[0] if found else 0


def _members_before(text: str, language: str) -> str:
    """What stands in the class, of a text that opens it and holds its first members."""
    opener = 0
    for match in re.finditer(r"\{", text):
        rest = text[match.end() :]
        if find_closer(rest, language) is None:
            opener = match.end()
    return text[opener:]


def _without_main(text: str, language: str) -> str:
    """Functions called main, with their comments' braces counted rightly, are cut out."""
    while (found := _MAIN.search(text)) is not None:
        closer = find_closer(text[found.end() :], language)
        end = len(text) if closer is None else found.end() + closer + 1
        text = text[: found.start()] + text[end:]
    return text


def _new_uses(text: str, prompt: str) -> list[str]:
    """Lines of Rust without a `use` of what the prompt already uses: twice is an error."""
    used = " ".join(line for line in prompt.split("\n") if line.startswith("use "))

    def is_new(line: str) -> bool:
        names = re.findall(r"\w+(?=\s*[;,}])", line)
        return (
            not line.startswith("use ")
            or not names
            or not all(re.search(rf"\b{name}\b", used) for name in names)
        )

    return [line for line in text.splitlines(keepends=True) if is_new(line)]
