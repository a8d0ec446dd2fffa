"""`codemoe run RECIPE --smoke`: whole runs in small. -m slow runs every recipe as it is."""

import json
from pathlib import Path

import pytest

from codemoe.eval_config import MODEL_NAMES
from tests.conftest import run_codemoe
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
# Half of the languages and only the models that need the others: the same code, in less time.
LESS = (
    "languages=[python, java]",
    "experts.dense_baseline=false",
    "merge.methods=[average]",
    "eval.models=[base, expert, merged-average, moe-sequence]",
)


def write_rows(path: Path, languages: tuple[str, ...], number: int = 60) -> None:
    """Each language has its own syntax, so that the parse filter keeps them."""
    forms = {
        "python": "def f{i}(a, b):\n    return a * {i} + b\n",
        "java": "class F{i} {{\n    static int f(int a, int b) {{ return a * {i} + b; }}\n}}\n",
        "javascript": "function f{i}(a, b) {{\n    return a * {i} + b;\n}}\n",
        "cpp": "int f{i}(int a, int b) {{\n    return a * {i} + b;\n}}\n",
    }
    rows = [
        {"group": f"g{i}", "language": language, "text": f"{i} times a number, and another"}
        | {"code": forms[language].format(i=i)}
        for i in range(number)
        for language in languages
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_domains(folder: Path, number: int = 40) -> None:
    """The layout of recipes/gptneo-domains.yaml: text and answer, each domain in its own words."""
    forms = {
        "coding": ("Function {i} of two numbers", "def f{i}(a, b):\n    return a * {i} + b\n"),
        "math": ("What is {i} times 3?", "Three times {i} is {i} + {i} + {i}.\nThe answer is {i}"),
        "cot": ("Is number {i} a bird?", "Birds have wings, {i} has none.\nThe answer is no"),
    }
    folder.mkdir(parents=True)
    for name, parts in forms.items():
        rows = [dict(zip(("text", "answer"), (p.format(i=i) for p in parts), strict=True))
                for i in range(number)]  # fmt: skip
        lines = (json.dumps(row | {"id": f"{name}-{i}"}) + "\n" for i, row in enumerate(rows))
        (folder / f"{name}.jsonl").write_text("".join(lines))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Whatever files the recipes name."""
    languages = ("python", "java", "javascript", "cpp")
    for path in ("my-rows.jsonl", "my-rows/rows.jsonl"):
        write_rows(tmp_path / path, languages)
    write_domains(tmp_path / "domains")
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "kept" / "base")
    for seed, name in enumerate(languages):
        random_adapter(base, tmp_path / "kept" / "demo" / "experts" / name, "mlp", 2, seed)
    return tmp_path


def _smoke(recipe: Path, place: Path, *overrides: str, to: str | None = "lora-pack") -> dict:
    before = sorted(path for path in place.rglob("*"))
    done = run_codemoe("run", recipe, *overrides, "--smoke", "--json", cwd=place, **ENVIRONMENT)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    found = json.loads(done.out)
    run = place / found["run"]
    assert run.name.endswith("-smoke")
    assert [path for path in before if not path.exists()] == []
    assert {path.name for path in (place / "runs").iterdir()} == {run.name}
    assert found == json.loads((run / "smoke.json").read_text())
    assert to is None or found["exports"][to].startswith("yes")
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert set(summary["models"]) <= set(MODEL_NAMES)
    assert {"moe-sequence", "moe-token"} & set(summary["models"])
    return found


def test_own_rows_on_a_hub_base_that_is_not_here(place: Path) -> None:
    """And thresholds that no random model meets."""
    threshold = "eval.thresholds={retention: 9, base_ratio: 9}"
    found = _smoke(ROOT / "recipes" / "own-data.yaml", place, *LESS, threshold)
    assert found["seconds"] < 180
    assert {c["name"] for c in found["not_judged"]} == {"retention", "base_ratio"}
    assert found["exports"]["qwen-moe"].startswith("yes")
    assert "holds the attention of mistral" in found["exports"]["mixtral"]
    told = "\n".join(found["notes"])
    assert "48 java, 48 python rows" in told
    assert "qwen2 of 2 layers" in told
    assert "as published (the hub cannot be reached)" in told
    assert "tokenizer of Qwen/Qwen2.5-Coder-0.5B is not here" in told


def test_whole_mlps_on_a_base_from_scratch(place: Path) -> None:
    """Full-MLP experts through every stage: merged, two a token by trained gates, exported."""
    full = (*LESS, "experts.method=full", "experts.lora={}", "experts.dense_baseline=true")
    gates = ("router.train_gates={}", "router.num_experts_per_tok=2")
    models = "eval.models=[base, expert, merged-average, dense-all, moe-token, moe-sequence]"
    found = _smoke(
        ROOT / "recipes" / "real-data-tiny.yaml", place, *full, *gates, models, to="mixtral"
    )
    assert found["seconds"] < 180
    assert "full-MLP experts are no adapters" in found["exports"]["lora-pack"]
    run = place / found["run"]
    assert (run / "moe" / "experts" / "java" / "mlp_expert.safetensors").is_file()
    summary = json.loads((run / "report" / "summary.json").read_text())
    active = {name: cost["active_parameters"] for name, cost in summary["cost"].items()}
    assert active["expert"] == active["base"]  # in the place of the base's MLPs


def test_what_exists_already_is_mixed_without_training(place: Path) -> None:
    """mix-existing.yaml, with adapters that reach into attention, of which MLPs are taken."""
    base = place / "kept" / "base"
    random_adapter(base, place / "kept" / "both", "both", 2, 9)
    found = _smoke(
        ROOT / "recipes" / "mix-existing.yaml",
        place,
        *LESS,
        "experts.define={python: {languages: [python], checkpoint: kept/both}, "
        "java: {languages: [java], checkpoint: kept/demo/experts/java}}",
        "moe.parts=mlp",
    )
    assert next(one for one in found["stages"] if one["stage"] == "experts")["made"]
    run = place / found["run"]
    assert not list((run / "experts").rglob("metrics.jsonl"))
    (told,) = json.loads((run / "report" / "summary.json").read_text())["chain_breaks"]
    assert told.startswith("moe: experts were trained in")
    assert "q_proj" in told
    assert "random weights of its kind stand in for the expert kept/both" in found["notes"]


# What the mixture of a recipe can become, where that is no pack of adapters.
BECOMES = {"gptneo-domains": None, "mixtral-upcycle": "mixtral"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_smoke_runs_in_three_minutes(recipe: Path, place: Path) -> None:
    existing = [
        f"experts.define.{name}.checkpoint=kept/demo/experts/{name}"
        for name in ("python", "java", "javascript", "cpp")
        if recipe.stem == "mix-existing"
    ]
    found = _smoke(recipe, place, *existing, to=BECOMES.get(recipe.stem, "lora-pack"))
    assert found["seconds"] < 180


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_alignment_smoke_runs(method: str, place: Path) -> None:
    recipe = ROOT / "recipes" / "demo-fast.yaml"
    train = "align.train.batch_size=8"
    assert _smoke(recipe, place, *LESS, f"align.method={method}", train)["seconds"] < 180
