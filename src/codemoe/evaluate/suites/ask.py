"""How a problem is put to a model, and what of its answer is kept."""

# The one prompt format is data/prompt.py's; `raw` is for bases that were never shown one.

import re
from dataclasses import dataclass
from typing import Any, Literal

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.evaluate.suites.extract import cut
from codemoe.evaluate.suites.problem import Problem
from codemoe.languages import LANGUAGES

Style = Literal["continue", "ask", "raw"]
_DOCSTRING = re.compile(r"(\"\"\"|''')(.*?)\1", re.DOTALL)
_BLOCK = re.compile(r"/\*+(.*?)\*/", re.DOTALL)
_LINES = re.compile(r"(?:^[ \t]*(?:///?|#)(?!include|!).*\n?)+", re.MULTILINE)
_MARGIN = re.compile(r"^[ \t]*(?:///?|#|\*)?[ \t]?(?:\*[ ])?", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """A prompt in tokens, and the blanks of the problem's prompt that were left off its end.

    Tokenizers join line ends with what follows them: code that ends in one is text that no model
    has seen in training, and costs it its first token.
    """

    prompt: EncodedPrompt
    left_off: str


def task_of(problem: Problem) -> str:
    """The task in words: the format's own, or what the prompt's comments say."""
    if problem.task.strip():
        return problem.task.strip()
    said = [match.group(2) for match in _DOCSTRING.finditer(problem.prompt)]
    if problem.language != "python" or not said:
        said = [match.group(1) for match in _BLOCK.finditer(problem.prompt)]
        said += [match.group() for match in _LINES.finditer(problem.prompt)]
    text = "\n".join(_MARGIN.sub("", part).strip() for part in said[-1:])
    return text or problem.prompt.strip()


def encode_problem(tokenizer: Any, problem: Problem, style: Style) -> Asked:
    """Tokens of a problem. A format without code to go on with (MBPP) is always asked."""
    code = problem.prompt.rstrip()
    left_off = problem.prompt[len(code) :]
    if style == "ask" or not code:
        text = task_of(problem)
        if code:
            text = f"{text}\nComplete this code:\n{code}"
        return Asked(encode_prompt(tokenizer, text, problem.language), "")
    if style == "raw":
        ids = tuple(tokenizer(code)["input_ids"])
        if ids and ids[-1] == tokenizer.eos_token_id:
            ids = ids[:-1]
        # A router reads all but the last token, from which on an expert acts.
        return Asked(EncodedPrompt(ids, max(len(ids) - 1, 0)), left_off)
    instruction = encode_prompt(tokenizer, task_of(problem), problem.language)
    begun = tuple(tokenizer(code.lstrip("\n"), add_special_tokens=False)["input_ids"])
    whole = EncodedPrompt((*instruction.input_ids, *begun), instruction.marker_start)
    return Asked(whole, left_off)


def kept_of(problem: Problem, style: Style, left_off: str, text: str) -> dict[str, str]:
    """What a sample keeps of the generated text: `completion`, or `answer` to extract it from."""
    if style == "ask" or not problem.prompt.strip():
        return {"answer": text}
    # The prompt's own blanks come back when the sample is put behind it.
    start = 0
    while start < min(len(left_off), len(text)) and text[start] == left_off[start]:
        start += 1
    rest = text[start:]
    comment = LANGUAGES[problem.language].line_comment
    if start < len(left_off) and (not rest[:1].isspace() or rest.lstrip().startswith(comment)):
        # It went on in the prompt's last line, as with a comment there.
        return {"program": problem.prompt.rstrip() + cut(problem, text)}
    return {"completion": cut(problem, rest)}
