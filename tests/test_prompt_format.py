"""One prompt format: what training, evaluation and serving put before a model, token for token.

Read where no code of ours is in between: at the model's own embedding, of real calls of each.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from codemoe.data.prompt import encode_example
from codemoe.data.rows import Row
from codemoe.evaluate.answers import answer_rows
from codemoe.evaluate.contenders import CONTENDERS
from codemoe.evaluate.memory import PeakMemory
from codemoe.models.ask import Question, answer
from codemoe.models.load import load_base, load_model
from codemoe.models.reference import BaseReference
from codemoe.recipe import LoraConfig, TrainConfig
from codemoe.recipe_file import make_recipe
from codemoe.train.sft import train_adapter
from tests.models.export.mixtures import write_mixture
from tests.models.tiny import tiny_tokenizer

# Blanks and line ends around, several lines, and what a tokenizer may merge with its neighbours.
ROW = Row(
    id="r",
    group="g",
    language="cpp",
    text="  Sum of the squares\n\nof a list:  \t1, 2, 3 ###\n",
    code="\nint f() {\n    return 1;\n}\n\n",
    source="s",
    license="MIT",
)
Seen = Callable[[Callable[[], Any]], tuple[int, ...]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The tokens that models embed while something runs, one forward after another."""
    found: list[int] = []
    real = torch.nn.Embedding.forward

    def forward(self: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        if ids.dim() == 2:
            assert len(ids) == 1
            found.extend(ids[0].tolist())
        return real(self, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", forward)

    def during(work: Callable[[], Any]) -> tuple[int, ...]:
        found.clear()
        work()
        return tuple(found)

    return during


def _frame(tokens: str) -> TemplateProcessing:
    return TemplateProcessing(single=tokens, special_tokens=[("<s>", 0), ("</s>", 1)])


# Tokenizers that add nothing, that begin every text, and that also end every text.
FRAMES = {"plain": "$A", "begins": "<s> $A", "begins and ends": "<s> $A </s>"}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_training_evaluation_and_serving_read_the_same_tokens(
    frame: str, tmp_path: Path, seen: Seen
) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = _frame(frame)
    tokenizer.save_pretrained(run / "base")
    base = load_base(BaseReference(str(run / "base")))
    example = encode_example(base.tokenizer, ROW.text, ROW.language, ROW.code)
    prompt = example.input_ids[: example.completion_start]
    begins, rest = frame.startswith("<s>"), base.tokenizer.decode(prompt)
    assert rest.removeprefix("<s>").lstrip() == (
        "### Task: Sum of the squares\n\nof a list:  \t1, 2, 3 ###\n### Language: C++\n### Code:\n"
    )
    assert (prompt[0] == base.tokenizer.bos_token_id) == begins
    assert base.tokenizer.eos_token_id not in prompt

    def train() -> None:
        one = TrainConfig(steps=1, batch_size=1, checkpoint_steps=1)
        (tmp_path / "expert").mkdir()
        train_adapter(
            base,
            [ROW],
            name="cpp",
            lora=LoraConfig(rank=2),
            train=one,
            activation="completion",
            seed=0,
            out=tmp_path / "expert",
        )

    trained = seen(train)
    assert trained == example.input_ids
    assert trained[example.completion_start :][-1] == base.tokenizer.eos_token_id

    define = {"one": {"languages": ["python"]}, "two": {"languages": ["java"]}}
    recipe = make_recipe(
        {
            "name": "run",
            "runs_dir": str(tmp_path),
            "languages": ["python", "java", "cpp"],
            "base": {"model": str(run / "base")},
            "experts": {"define": define | {"three": {"languages": ["cpp"]}}},
            "eval": {"max_new_tokens": 1},
        }
    )
    model = load_model(str(run))
    for name in ("base", "moe-sequence", "moe-oracle"):
        (tmp_path / name).mkdir()
        how, memory = CONTENDERS[name], PeakMemory()  # type: ignore[index]
        args = (model, name, how, recipe, [ROW], tmp_path / name, memory)
        evaluated = seen(lambda args=args: answer_rows(*args))  # type: ignore[misc]
        memory.close()
        assert evaluated[: len(prompt)] == prompt, name

    for expert in (None, "two"):
        question = Question(ROW.text, ROW.language, max_new_tokens=1, expert=expert)
        served = seen(lambda question=question: answer(load_model(str(run)), question))  # type: ignore[misc]
        assert served[: len(prompt)] == prompt, expert
    routed = seen(lambda: answer(load_model(str(run)), Question(ROW.text, max_new_tokens=1)))
    unnamed = encode_example(base.tokenizer, ROW.text, None, ROW.code)
    assert routed[: unnamed.completion_start] == unnamed.input_ids[: unnamed.completion_start]
