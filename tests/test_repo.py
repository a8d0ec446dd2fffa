"""What holds for the whole repository: layers, start-up, recipes, file sizes, no machine paths."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codemoe.eval_config import MODEL_NAMES
from codemoe.recipe import DataConfig, Recipe
from codemoe.recipe_file import load_recipe
from tests.conftest import run_codemoe

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "codemoe"

# Import direction (DESIGN.md section 5): a module imports from layers before its own, and from its
# own room. Rooms of one layer do not import each other, but for the single modules in WITHIN.
LAYERS = (
    ("errors", "progress", "garbage", "languages", "disk", "jsonl", "yaml_file"),
    (
        *("config", "align_config", "data_config", "eval_config", "router_config", "train_config"),
        *("recipe", "recipe_file"),
    ),
    ("artifacts", "lock"),
    ("data", "routing"),
    ("models",),
    ("merge", "train", "evaluate", "serve"),
    ("align_stage",),
    ("pipeline", "plan"),
    ("smoke", "sweep"),
    (
        *("cli", "demo", "doctor", "terminal", "terminal_chat", "terminal_code"),
        *("terminal_plan", "terminal_preview", "terminal_sweep"),
    ),
    ("__main__",),
)
WITHIN = {
    "languages": {"errors"},
    "disk": {"errors"},
    "jsonl": {"errors"},
    "yaml_file": {"errors"},
    "align_config": {"config"},
    "data_config": {"config"},
    "eval_config": {"config"},
    "router_config": {"config"},
    "train_config": {"config"},
    "recipe": {
        *("config", "align_config", "data_config", "eval_config", "router_config", "train_config")
    },
    "recipe_file": {"recipe"},
    "lock": {"artifacts"},
    "terminal_chat": {"terminal_code"},
    "cli": {
        *("demo", "doctor", "terminal", "terminal_chat", "terminal_code"),
        *("terminal_plan", "terminal_preview", "terminal_sweep"),
    },
}


def _imports(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted codemoe module) of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "codemoe":
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            place = ["codemoe", *path.relative_to(package).with_suffix("").parts]
            if node.level:
                module = [*place[: -node.level], *(node.module or "").split(".")]
            else:
                module = (node.module or "").split(".")
            if module[0] == "codemoe":
                for alias in node.names:
                    yield node.lineno, ".".join([*filter(None, module), alias.name])


def _room(module: str) -> str | None:
    """`codemoe.data.rows.Row` -> `data`; None for the package itself (`__version__`)."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else None


def wrong_imports(package: Path) -> list[str]:
    """Every import that goes against the layers, and every module that has no layer."""
    rank = {room: i for i, layer in enumerate(LAYERS) for room in layer}
    found = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).with_suffix("").parts[0]
        where = path.relative_to(package)
        if own == "__init__":
            found += [f"{where}:{line} imports {name}" for line, name in _imports(path, package)]
            continue
        if own not in rank:
            found.append(f"{where} is in no layer")
            continue
        for line, module in _imports(path, package):
            room = _room(module)
            if room is None or room == own or room in WITHIN.get(own, ()):
                continue
            if rank.get(room, len(LAYERS)) >= rank[own]:
                found.append(f"{where}:{line} imports {module}")
    return found


def test_import_order() -> None:
    assert wrong_imports(PACKAGE) == []


def test_import_order_check_sees_wrong_imports(tmp_path: Path) -> None:
    package = tmp_path / "codemoe"
    wrong = {
        "__init__.py": "from codemoe.errors import UserError\n",
        "errors.py": "def f():\n    from codemoe.recipe import Recipe\n",
        "data/rows.py": "import codemoe.routing.fit\nfrom codemoe.recipe import Recipe\n",
        "models/load.py": "from codemoe import __version__\nfrom ..train import sft\n",
        "train/sft.py": "if True:\n    from codemoe import evaluate\nfrom . import order\n",
        "extra.py": "",
    }
    for name, text in wrong.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    assert wrong_imports(package) == [
        "__init__.py:1 imports codemoe.errors.UserError",
        "data/rows.py:1 imports codemoe.routing.fit",
        "errors.py:2 imports codemoe.recipe.Recipe",
        "extra.py is in no layer",
        "models/load.py:2 imports codemoe.train.sft",
        "train/sft.py:2 imports codemoe.evaluate",
    ]


def test_stages_meet_only_through_artifacts() -> None:
    """No stage imports the stage module of another one, but for the data's readers."""
    stages = [*PACKAGE.rglob("stage.py"), *PACKAGE.rglob("*_stage.py")]
    assert len(stages) == 9
    for path in stages:
        modules = {name.rpartition(".")[0] for _, name in _imports(path, PACKAGE)}
        imported = {module for module in modules if module.endswith("stage")}
        assert imported <= {"codemoe.data.stage"}, path


# Not pydantic: typer itself checks arguments with it.
HEAVY = ("torch", "transformers", "datasets", "matplotlib", "numpy", "yaml", "rich")


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",)])
def test_start_up_is_light_and_quick(arguments: tuple[str, ...]) -> None:
    script = (
        "import sys\n"
        "from codemoe import cli\n"
        "sys.argv = ['codemoe', *sys.argv[1:]]\n"
        "try:\n"
        "    cli.main()\n"
        "finally:\n"
        "    print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert loaded.isdisjoint([*HEAVY, "codemoe.recipe", "codemoe.artifacts"])
    # CPU time, not wall time: machines are shared. The best of three: caches may be cold.
    assert min(run_codemoe(*arguments).cpu_s for _ in range(3)) < 0.5


def test_importing_a_stage_is_light() -> None:
    """So that a run whose stages are finished, or whose input is bad, ends at once."""
    script = (
        "import sys, importlib\n"
        "from codemoe.pipeline import STAGES\n"
        "for stage in STAGES: importlib.import_module(stage.module)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()).isdisjoint({"torch", "transformers", "datasets", "matplotlib"})


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_every_recipe_is_valid_and_says_what_it_is(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert path.read_text().startswith("# ")
    # Experts of domains are told apart by their sources: a language's name calls none of them.
    if not any(one.sources for one in recipe.expert_filters.values()):
        assert set(recipe.expert_of_language()) == set(recipe.languages)


def test_demo_keeps_the_split_of_its_base() -> None:
    """The shipped base read the training split: with another split, test problems would leak."""

    def split(name: str) -> tuple[object, ...]:
        recipe = load_recipe(ROOT / "recipes" / name)
        data: DataConfig = recipe.data
        return data.split_seed, data.valid_fraction, data.test_fraction, recipe.languages

    assert split("demo.yaml") == split("demo-fast.yaml") == split("builtin-base.yaml")


def test_the_recipe_names_every_model_of_the_report() -> None:
    assert Recipe(name="x", base={"model": "builtin"}).eval.models == MODEL_NAMES  # type: ignore[arg-type]


def _tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix in suffixes]


def test_files_are_small() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in _tracked(".py")
    }
    long = {name: size for name, size in sizes.items() if size > 400}
    assert len(long) <= 4, long
    assert max(sizes.values()) < 600


def test_no_machine_paths() -> None:
    """Files of the repository name no folder of the machine they were written on."""
    wanted = re.compile(r"(?<![\w.])/(?:work|home/\w+|root|Users/\w+|opt/\w+)/")
    texts = _tracked(".py", ".md", ".yaml", ".toml", ".txt", ".json", ".sh", ".j2", ".css", "")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if wanted.search(line)
    ]
    assert found == []
