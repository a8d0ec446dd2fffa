"""The documents say what the code does: keys, defaults, formats, commands, paths.

Run with: pytest tests/test_docs.py
"""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic.fields import FieldInfo

from codemoe.align_config import AlignConfig
from codemoe.artifacts import MANIFEST, read_manifest, run_stage
from codemoe.data.dropped import CSV_COLUMNS
from codemoe.data.preferences import HUMAN, Preference
from codemoe.data.rows import COLUMNS, Row
from codemoe.evaluate.preferences.collect import COUNTS, collect
from codemoe.evaluate.preferences.pairs import CAUSES
from codemoe.evaluate.report.read import read_evaluation
from codemoe.evaluate.report.summary import build_summary
from codemoe.evaluate.sandbox import STATUSES
from codemoe.evaluate.scoring import figures, result_rows
from codemoe.evaluate.suites import read_suite
from codemoe.recipe import Config, ExpertFilter, Recipe
from codemoe.recipe_file import load_recipe
from tests.evaluate.report.synthetic import Plan, write_run

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] + [
    f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    """The cells of a table row; a bar inside backticks is no border."""
    return [cell.strip() for cell in re.findall(r"\|((?:`[^`]*`|[^|`])*)(?=\|)", line)]


def blocks(text: str, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == kind]


# -- docs/recipe.md --------------------------------------------------------------------------


def recipe_keys(section: type[Config], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(dotted key, field) of everything a recipe may hold. A section that is always there is no
    key itself; `[]` stands for an item of a list, `<name>` for a key of the user's choice."""
    for name, field in section.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Config):
            yield from recipe_keys(annotation, f"{prefix}{name}.")
            continue
        yield prefix + name, field
        mark = {tuple: "[]", dict: ".<name>"}.get(get_origin(annotation), "")  # type: ignore[arg-type]
        for inner in get_args(annotation):
            if isinstance(inner, type) and issubclass(inner, Config):
                yield from recipe_keys(inner, f"{prefix}{name}{mark}.")


def as_yaml(value: Any) -> Any:
    """A default in the form that a recipe has it in."""
    if isinstance(value, Config):
        return as_yaml(value.model_dump(mode="json", exclude_defaults=True))
    if isinstance(value, tuple):
        return [as_yaml(item) for item in value]
    return value


def choices(annotation: Any) -> set[str]:
    """The words a field may have, also inside a list."""
    inner = {word for part in get_args(annotation) for word in choices(part)}
    return inner | {part for part in get_args(annotation) if isinstance(part, str)}


KEYS = dict(recipe_keys(Recipe))
ROWS = {
    row[0].strip("`"): row for line in read("docs/recipe.md").split("\n") if (row := cells(line))
}
ROWS = {key: row for key, row in ROWS.items() if key not in ("key", "---")}


def test_every_recipe_key_is_documented_and_no_other() -> None:
    assert sorted(ROWS) == sorted(KEYS)
    assert len(KEYS) > 60
    assert "data.sources[].kind" in KEYS
    assert "experts.define.<name>.languages" in KEYS
    assert "base.from_scratch.steps" in KEYS


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_documented_default_is_the_default(key: str) -> None:
    _, default, unit, meaning = ROWS[key]
    field = KEYS[key]
    if field.is_required():
        assert default == "required"
    else:
        assert default.startswith("`")
        assert default.endswith("`")
        assert yaml.safe_load(default.strip("`")) == as_yaml(field.default)
    assert unit
    for word in choices(field.annotation):
        assert f"`{word}`" in meaning or word in yaml.safe_load(default.strip("`")), word


def test_the_reader_of_the_table_sees_mistakes() -> None:
    assert cells("| `a` | `x | y` | b |") == ["`a`", "`x | y`", "b"]
    assert cells("no table") == []
    assert choices(KEYS["eval.execute"].annotation) == {"auto", "never", "required"}


# -- docs/artifacts.md -----------------------------------------------------------------------


def keys_under(heading: str) -> set[str]:
    """First cells of the first table under a heading of docs/artifacts.md."""
    text = read("docs/artifacts.md")
    assert text.count(f"\n{heading}\n") == 1, heading
    after = text.split(f"\n{heading}\n")[1]
    section = re.split(r"^#", after, maxsplit=1, flags=re.MULTILINE)[0]
    first = [row[0] for line in section.split("\n") if (row := cells(line))]
    return {cell.strip("`") for cell in first[2:]}


ANSWER = "def f(x):\n    return x + 1"
SAMPLE = {"completion": ANSWER, "expert": "python", "confidence": 0.9, "finish_reason": "stop"}


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    row = Row("1", "g", "python", "add one", ANSWER, "s", "MIT")
    return result_rows([row], [SAMPLE], [("pass", "")])


@pytest.fixture(scope="module")
def made_up_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), Plan(n=4))


def test_rows_drops_and_suites(tmp_path: Path) -> None:
    assert keys_under("### Rows: train.parquet, valid.parquet, test.parquet") == set(COLUMNS)
    assert keys_under("### dropped.csv") == set(CSV_COLUMNS)
    # A row made of the documented keys is a suite row.
    row = {key: "x" for key in keys_under("### Suites: test.suite.jsonl")} | {"language": "java"}
    (tmp_path / "suite.jsonl").write_text(json.dumps(row) + "\n")
    (problem,) = read_suite(tmp_path / "suite.jsonl")
    assert set(row) <= set(vars(problem))


def test_manifest(tmp_path: Path) -> None:
    run_stage(tmp_path / "data", "data", {}, {}, lambda out: None)
    assert keys_under(f"## `{MANIFEST}`") == set(read_manifest(tmp_path / "data"))


def test_samples() -> None:
    # From the source: importing the module loads torch.
    module = ast.parse(read("src/codemoe/evaluate/answers.py"))
    (made,) = (n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "_sample")
    (returned,) = (node.value for node in ast.walk(made) if isinstance(node, ast.Return))
    assert isinstance(returned, ast.Dict)
    names = {key.value for key in returned.keys if isinstance(key, ast.Constant)}
    # What the answer itself is called depends on how it was asked for.
    assert keys_under("### samples.jsonl") == names | {"completion"}


def test_pairs_and_their_counts(tmp_path: Path) -> None:
    assert keys_under("### pairs.jsonl") == {field.name for field in fields(Preference)}
    collect("x", [], {}, AlignConfig(), ExpertFilter(), tmp_path)
    assert keys_under("### counts.json") == set(json.loads((tmp_path / COUNTS).read_text()))
    for cause in (*CAUSES, HUMAN):
        assert f"`{cause}`" in read("docs/artifacts.md")
        assert f"| `{cause}` |" in read("docs/align.md")
    # From the source: sampling loads a model.
    module = ast.parse(read("src/codemoe/evaluate/preferences/sample.py"))
    (told,) = (
        {key.value for key in node.keys if isinstance(key, ast.Constant)}
        for node in ast.walk(module)
        if isinstance(node, ast.Dict) and len(node.keys) > 5
    )
    assert keys_under("### Tested samples: results.jsonl") == told


def test_results_and_statuses(results: list[dict[str, Any]]) -> None:
    assert keys_under("### results.jsonl") == set(results[0])
    for status in STATUSES:
        assert f"`{status}`" in read("docs/artifacts.md")


def test_metrics(results: list[dict[str, Any]], made_up_run: Path) -> None:
    assert keys_under("### Figures of one language") == set(figures(results))
    metrics = json.loads((made_up_run / "eval/base/test/metrics.json").read_text())
    assert keys_under("### metrics.json") == set(metrics)


def test_summary(made_up_run: Path) -> None:
    summary = build_summary(read_evaluation(made_up_run))
    assert keys_under("### summary.json") == {*summary, "checks", "chain_breaks"}


# -- what readers type and click -------------------------------------------------------------


def typed(document: str) -> list[list[str]]:
    """The command lines of a document's shell blocks, in words; `\\` goes on in the next line."""
    whole = [block.replace("\\\n", " ") for block in blocks(read(document), "sh")]
    lines = [line for block in whole for line in block.split("\n")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_shell_blocks_name_real_commands_recipes_and_targets() -> None:
    from codemoe.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    seen = set()
    for document in DOCUMENTS:
        for words in typed(document):
            program = words[0].rpartition("/")[2]
            if program in ("vllm", "llama-server", "ollama"):  # what the gateway stands before
                continue
            seen.add(program)
            assert program in ("make", "codemoe", "python"), words
            if program == "make":
                assert words[1] in targets, words
            elif program == "codemoe":
                assert words[1] in names, words
                if words[1] == "run":
                    load_recipe(ROOT / words[2], words[3:])
            elif words[1] != "-m":
                assert (ROOT / words[1]).is_file(), words
    assert seen == {"make", "codemoe", "python"}


def test_all_commands_are_in_the_readme() -> None:
    from codemoe.cli import app

    table = read("README.md").split("## Commands")[1].split("\n## ")[0]
    offered, _, missing = table.partition("Not yet:")
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        assert re.search(rf"`(codemoe )?{name}\b", offered), name
        assert f"`{name}`" not in missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", read(document)):
        if not target.startswith("http"):
            assert ((ROOT / document).parent / target).exists(), target


def test_the_annotated_tree_is_there() -> None:
    (tree,) = (text for text in blocks(read("README.md"), "") if "pipeline.py" in text)
    folders: list[str] = []
    count = 0
    for line in tree.strip("\n").split("\n"):
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders = [*folders[:depth], name]
        assert (ROOT / "".join(folders)).exists(), "".join(folders)
        count += 1
    assert count > 20
    packages = {path.parent.name for path in (ROOT / "src/codemoe").glob("*/__init__.py")}
    assert all(f"  {name}/" in tree for name in packages), packages


def test_the_readme_has_a_place_for_the_demo_output() -> None:
    lines = read("README.md").split("\n")
    begin, end = (lines.index(f"<!-- demo-output:{word} -->") for word in ("begin", "end"))
    assert begin < end
    assert sum("demo-output" in line for line in lines) == 2


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_recipes_load_and_say_how_they_are_run(path: Path) -> None:
    assert load_recipe(path).name == path.stem
    header = re.split(r"^[^#]", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[0]
    assert re.search(r"^#   (codemoe|make) ", header, re.MULTILINE)


def test_the_picture_stands_alone_and_knows_the_dark() -> None:
    import xml.etree.ElementTree as ElementTree

    picture = read("docs/how-it-works.svg")
    ElementTree.fromstring(picture)
    assert "prefers-color-scheme: dark" in picture
    assert "<title" in picture
    assert not re.search(r"""(href|src)=|url\((?!#)|@import""", picture)
