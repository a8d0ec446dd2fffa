"""Recipes: everything wrong is said at once, with its key; overrides; files that are no recipe."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from codemoe.errors import UserError
from codemoe.recipe import DENSE, Config, Recipe
from codemoe.recipe_file import apply_override, load_recipe, make_recipe, parse_override

SMALLEST: dict[str, Any] = {"name": "x", "base": {"model": "builtin"}}


def recipe(**more: Any) -> Recipe:
    return make_recipe(SMALLEST | more)


def refusal(tree: Any, *overrides: str, path: Path | None = None) -> str:
    """What is said about a recipe, as text or as a tree; it must be a UserError with a way on."""
    if path is not None:
        path.write_text(tree, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        make_recipe(tree) if path is None else load_recipe(path, list(overrides))
    assert caught.value.exit_code == 2
    assert caught.value.fix
    return caught.value.what


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text("name: x\nbase: {model: builtin}\n")
    return path


# -- what a recipe may say -------------------------------------------------------------------


def test_every_error_is_reported_at_once_with_its_key() -> None:
    said = refusal(
        {
            "languages": ["klingon", "js", "elvish"],
            "seed": -1,
            "speed": 3,
            "data": {"valid_fraction": 0.6, "test_fraction": 0.5},
            "experts": {"train": {"steps": 0, "learning_rate": float("nan"), "stepss": 3}},
            "eval": {"models": "base"},
            "moe": {"activation": "some"},
            "router": 3,
        }
    )
    assert said.splitlines() == [
        "12 errors in the recipe:",
        "  name: this key is required",
        "  languages: unknown language 'klingon', 'elvish'; known: python, java, javascript, cpp, "
        "c, csharp, go, php, typescript, rust, ruby, prose",
        "  seed: Input should be greater than or equal to 0 (found -1)",
        "  data: valid_fraction and test_fraction leave nothing to train on",
        "  base: this key is required",
        "  experts.train.steps: Input should be greater than 0 (found 0)",
        "  experts.train.learning_rate: Input should be a finite number (found nan)",
        "  experts.train.stepss: unknown key; did you mean experts.train.steps?",
        "  moe.activation: Input should be 'all' or 'completion' (found 'some')",
        "  router: expected keys and values (found 3)",
        "  eval.models: expected a list, such as [a, b] (found 'base')",
        "  speed: unknown key; did you mean seed?",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a/b"}, "name: "),
        ({"name": ".."}, "name: "),
        ({"name": ""}, "name: "),
        ({"name": 3}, "name: Input should be a valid string (found 3)"),
        ({"languages": []}, "languages: name at least one language"),
        ({"languages": ["py", "js", "Python"]}, "languages: named more than once: python"),
        ({"seed": 2**32}, "seed: "),
        ({"data": {"sources": []}}, "data.sources: name at least one source"),
        ({"data": {"sources": [{"kind": "rows"}]}}, "data.sources.0: a 'rows' source needs `path`"),
        ({"data": {"sources": [{"kind": "corpus", "path": "x"}]}}, "takes no path"),
        ({"data": {"sources": [{"kind": "row", "path": "x"}]}}, "data.sources.0.kind: "),
        ({"base": {}}, "base: give exactly one of `model` and `from_scratch`"),
        ({"base": {"model": "m", "from_scratch": {}}}, "base: give exactly one of"),
        ({"base": {"from_scratch": {"hidden_size": 33}}}, "multiple of num_attention_heads"),
        (
            {"base": {"from_scratch": {"num_attention_heads": 32, "num_key_value_heads": 32}}},
            "must be even",
        ),
        ({"base": {"from_scratch": {"sequence_length": 2048}}}, "longer than the window"),
        ({"base": {"from_scratch": {}, "quantization": "4bit"}}, "no quantization"),
        ({"data": {"split_seed": 1}}, "tested on what it was trained on"),
        ({"data": {"test_fraction": 0.2}}, "tested on what it was trained on"),
        (
            {"experts": {"define": {"a": {"languages": ["java"]}}}},
            "no expert for python, javascript, cpp",
        ),
        ({"experts": {"define": {"../x": {}}}}, "'../x' is no expert name"),
        ({"experts": {"define": {DENSE: {}}}}, "dense baseline's name"),
        ({"experts": {"define": {"a": {"languages": ["rust"]}}}}, "experts.define uses rust"),
        ({"experts": {"train": {"learning_rate": float("inf")}}}, "finite"),
        ({"experts": {"train": {"steps": True}}}, "steps: expected a number, found true"),
        ({"eval": {"thresholds": {"retention": False}}}, "expected a number, found false"),
        ({"learning_rate": 1}, "did you mean base.from_scratch.learning_rate or experts.train."),
        ({"experts": {"lora": {"ranks": 3}}}, "did you mean experts.lora.rank?"),
    ],
)
def test_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(SMALLEST | changes)


def test_language_aliases_become_canonical_names() -> None:
    made = recipe(
        languages=["py", "C++", "JS", "Java", "golang", "C#"],
        experts={"define": {"web": {"languages": ["node"]}, "rest": {}}},
    )
    assert made.languages == ("python", "cpp", "javascript", "java", "go", "csharp")
    assert made.experts.define["web"].languages == ("javascript",)
    assert made.expert_of_language()["javascript"] == "web"
    assert made.expert_of_language()["go"] == "rest"


def test_every_row_has_the_first_expert_that_admits_it() -> None:
    made = recipe(
        languages=["python", "java"],
        experts={
            "define": {
                "course": {"sources": ["course"]},
                "java": {"languages": ["java"]},
                "rest": {},
            }
        },
    )
    assert made.own_expert("java", "course") == "course"
    assert made.own_expert("java", "web") == "java"
    assert made.own_expert("python", "web") == "rest"
    # A language's name alone cannot call an expert that is for one source.
    assert made.expert_of_language() == {"python": "rest", "java": "java"}
    only = recipe(languages=["java"], experts={"define": {"course": {"sources": ["course"]}}})
    assert only.own_expert("java", "web") is None
    assert only.expert_of_language() == {}


def test_without_definitions_each_language_has_its_expert() -> None:
    made = recipe(languages=["java", "py"])
    assert list(made.expert_filters) == ["java", "python"]
    assert made.expert_of_language() == {"java": "java", "python": "python"}
    assert made.run_dir == Path("runs/x")


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        recipe().name = "y"  # type: ignore[misc]


class _WrongDefault(Config):
    steps: int = "many"  # type: ignore[assignment]


def test_defaults_are_checked_too() -> None:
    with pytest.raises(ValidationError):
        _WrongDefault()


def test_sections_survive_json() -> None:
    """A manifest stores sections as JSON: reading them back must give the same recipe."""
    made = recipe(experts={"define": {"a": {"sources": ["s"]}}}, eval={"models": ["base"]})
    assert Recipe.model_validate_json(made.model_dump_json()) == made


# -- overrides -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("experts.train.steps=50", ["experts", "train", "steps"], 50),
        ("languages=[python, c++]", ["languages"], ["python", "c++"]),
        ("name='a b'", ["name"], "a b"),
        ('name="a=b: c"', ["name"], "a=b: c"),
        ("base.model=org/model", ["base", "model"], "org/model"),
        ("a={b: 1, c: [2]}", ["a"], {"b": 1, "c": [2]}),
        ("a=", ["a"], None),
        ("a=null", ["a"], None),
        ("a=b=c", ["a"], "b=c"),
        ("data.sources.0.path=x", ["data", "sources", "0", "path"], "x"),
    ],
)
def test_override_values_are_yaml(text: str, keys: list[str], value: Any) -> None:
    assert parse_override(text) == (keys, value)


@pytest.mark.parametrize("text", ["steps", "=3", "a..b=3", ".a=3", "a.=3", "recipe2.yaml"])
def test_overrides_without_a_key(text: str) -> None:
    with pytest.raises(UserError, match="cannot read the override") as caught:
        parse_override(text)
    assert "key=value" in caught.value.fix


@pytest.mark.parametrize(
    "text", ["a='b", "a=[1", "a=b: c: d", "a={x: 1, x: 2}", "a=2024-99-99", "a={[b]: 1}"]
)
def test_overrides_whose_value_is_no_yaml(text: str) -> None:
    with pytest.raises(UserError, match="is not YAML") as caught:
        parse_override(text)
    assert "quote it" in caught.value.fix


def test_apply_override_copies() -> None:
    tree = {"a": {"b": [1, {"c": 2}]}, "d": 3}
    assert apply_override(tree, ["a", "b", "1", "c"], 9) == {"a": {"b": [1, {"c": 9}]}, "d": 3}
    assert apply_override(tree, ["a", "new", "x"], 1)["a"] == {"b": [1, {"c": 2}], "new": {"x": 1}}
    assert tree == {"a": {"b": [1, {"c": 2}]}, "d": 3}
    with pytest.raises(UserError, match="index 2 is outside a list of 2"):
        apply_override(tree, ["a", "b", "2"], 0)


def test_overrides_win_over_the_file_in_order(file: Path) -> None:
    made = load_recipe(
        file,
        ["languages=[js, py]", "languages.1=c++", "experts.train.learning_rate=1e-3", "name=y"],
    )
    assert made.languages == ("javascript", "cpp")
    assert made.experts.train.learning_rate == 1e-3
    assert made.name == "y"
    assert load_recipe(file).name == "x"


def test_a_wrong_override_is_named_like_a_wrong_key(file: Path) -> None:
    with pytest.raises(UserError, match=r"experts\.train\.step: unknown key; did you mean exp"):
        load_recipe(file, ["experts.train.step=3"])
    with pytest.raises(UserError, match=r"languages: expected a list"):
        load_recipe(file, ["languages=python"])


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nbase: {model: builtin}\n  bad: 1\n", "my.yaml, line 3: "),
        ("name: [x\n", "my.yaml, line 2: "),
        ("name: x\nseed: 1\nname: y\n", "line 3: the key 'name' was already given in line 1"),
        ("name: x\n[a]: 1\n", "line 2: a key is one word"),
        ("? {a: 1}\n: 2\n", "line 1: a key is one word"),
        ("name: x\n\x01", "my.yaml, line 2: special characters are not allowed"),
        ("name: 2024-99-99\n", "my.yaml: month must be in 1..12"),
        ("[" * 5000, "my.yaml: "),
        ("? [name, base]\n: x\n", "my.yaml, line 1: a key is one word"),
        ("name: x\nseed: {{1: 2}: 3}\n", "my.yaml, line 2: a key is one word"),
        ("name: !!python/object:os.system x\n", "could not determine a constructor"),
        ("", "is empty; expected keys and values"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "holds a list"),
        ("just words\n", "holds a str"),
    ],
)
@pytest.mark.parametrize("overrides", [(), ("name=z",)])
def test_files_that_are_no_recipe(
    text: str, said: str, overrides: tuple[str, ...], file: Path
) -> None:
    if "is empty" in said and overrides:
        said = "base: this key is required"
    found = refusal(text, *overrides, path=file)
    assert said in found
    assert str(file) in found


def test_a_missing_file_names_its_neighbours(file: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe at .*other\.yaml; .* has my\.yaml") as caught:
        load_recipe(file.with_name("other.yaml"))
    assert "codemoe demo" in caught.value.fix
    with pytest.raises(UserError, match="no recipe at"):
        load_recipe(file.parent / "no" / "where.yaml")


def test_a_folder_and_bytes_are_no_recipe(file: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; a recipe is a YAML file.*my\.yaml"):
        load_recipe(file.parent)
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(UserError, match="cannot read the recipe"):
        load_recipe(file)


def test_an_unreadable_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        load_recipe(file)


def test_a_byte_order_mark_and_merge_keys_are_read(file: Path) -> None:
    text = "define: {a: &f {languages: [py]}, b: {<<: *f, sources: [s]}}"
    file.write_text(
        f"\ufeffname: x\nlanguages: [py]\nbase: {{model: builtin}}\nexperts: {{{text}}}\n",
        encoding="utf-8",
    )
    made = load_recipe(file).experts.define["b"]
    assert (made.languages, made.sources) == (("python",), ("s",))
