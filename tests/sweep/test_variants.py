"""A sweep's grid: read whole, named apart, refused before anything runs.

Run with: pytest tests/sweep
"""

from pathlib import Path

import pytest

from codemoe.artifacts import is_finished, run_stage, share_from
from codemoe.errors import UserError
from codemoe.sweep.variants import grid, split_values

DEMO = Path(__file__).parents[2] / "recipes" / "demo.yaml"


def test_commas_in_brackets_and_quotes_divide_nothing() -> None:
    assert split_values("a.b=1,2") == ("a.b", ["1", "2"])
    assert split_values("languages=[python, java],[python]")[1] == ["[python, java]", "[python]"]
    assert split_values("x='a,b',c")[1] == ["'a,b'", "c"]


def test_the_grid_is_every_combination_with_a_name_of_its_own(tmp_path: Path) -> None:
    arguments = ["router.kind=top-k,softmax", "experts.lora.rank=4,8,16", f"runs_dir={tmp_path}"]
    sweep = grid(DEMO, arguments)
    recipe, variants = sweep.recipe, sweep.variants
    assert len(variants) == 6
    assert len({variant.recipe.run_dir for variant in variants}) == 6
    assert [v.recipe.experts.lora.rank for v in variants[:3]] == [4, 8, 16]
    assert all(v.recipe.run_dir.parent == tmp_path / f"{recipe.name}-sweep" for v in variants)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["router.kind=top-k"], "several values"),
        (["router.kind=top-k,top-k"], "more than once"),
        (["router.kind=top-k,", "seed=1"], "empty value"),
        (["name=a,b"], "names its runs itself"),
        (["seed=1,2", "seed=3,4"], "given more than once"),
        (["router.kind=top-k,nonsense", "seed=1,2"], "2 of the variants are no valid recipes"),
        (["nonsense"], "cannot read"),
    ],
)
def test_what_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        grid(DEMO, arguments)


def test_a_stage_made_the_same_is_linked_and_another_is_not(tmp_path: Path) -> None:
    calls: list[str] = []

    def make(run: Path, setting: int) -> bool:
        def work(out: Path) -> None:
            calls.append(run.name)
            (out / "file").write_text(str(setting))

        return run_stage(run / "moe", "moe", {"setting": setting}, {}, work)

    make(tmp_path / "first", 1)
    for name, setting in (("same", 1), ("other", 2)):
        with share_from(tmp_path / name, [tmp_path / "first"]):
            make(tmp_path / name, setting)
        assert is_finished(tmp_path / name / "moe")
        assert (tmp_path / name / "moe" / "file").read_text() == str(setting)
    assert calls == ["first", "other"]
