"""The `align` stage: experts taught by their own answers' tests, before a mixture is made of them.

It stands above `evaluate`, which samples, tests and pairs answers, and `train`, which learns from
the pairs: the two meet in folders, and in GRPO's reward, which is handed from one to the other.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from codemoe.align_config import AlignConfig
from codemoe.artifacts import Redo, run_stage, sha256_of
from codemoe.data.preferences import human_files
from codemoe.errors import UserError, WorkError
from codemoe.progress import say
from codemoe.recipe import Recipe

_SAMPLED = {
    "samples_per_task",
    "max_tasks",
    "temperature",
    "top_p",
    "batch_size",
    "timeout_s",
}
_PAIRED = {"pairs_per_task", "shorter_by", "human"}
_TRAINED = {"method", "reference", "beta", "sft_weight", "train"}
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
WITHOUT_TESTS = "align.samples_per_task=0 with pairs of people in align.human"


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `aligned/samples/<expert>/`, `aligned/pairs/<expert>/` and `aligned/experts/<expert>/`;
    True when any was made."""
    config = recipe.align
    if config is None:
        raise UserError(
            f"the recipe of {recipe.name!r} has no section `align`, so nothing is aligned",
            "give it one, or say what to do here: align.method=dpo",
        )
    made = False
    names = list(recipe.expert_filters)
    if config.method != "grpo":
        files = {str(f): sha256_of(f) for source in config.human for f in human_files(source)}
        for name in names:
            if config.samples_per_task:
                made |= _sample(recipe, config, name, redo)
            made |= _pair(recipe, config, name, files, redo)
        _check_some_pairs(recipe, config, names)
    for name in names:
        made |= _train(recipe, config, name, redo)
    return made


def folder_of(recipe: Recipe, part: str, name: str) -> Path:
    return recipe.run_dir / "aligned" / part / name


def _max_new_tokens(recipe: Recipe, config: AlignConfig) -> int:
    return config.max_new_tokens or recipe.eval.max_new_tokens


def _sampling(recipe: Recipe, config: AlignConfig, name: str) -> dict[str, Any]:
    """What sampled answers depend on besides base, expert and data."""
    return {
        "expert": name,
        "filter": recipe.expert_filters[name].model_dump(mode="json"),
        "align": config.model_dump(mode="json", include=_SAMPLED)
        | {"max_new_tokens": _max_new_tokens(recipe, config)},
        "moe": {"activation": recipe.moe.activation},
        "seed": recipe.seed,
    }


def _inputs(recipe: Recipe, name: str) -> dict[str, Path]:
    run_dir = recipe.run_dir
    return {
        "base": run_dir / "base",
        "data": run_dir / "data",
        f"experts/{name}": run_dir / "experts" / name,
    }


def _sample(recipe: Recipe, config: AlignConfig, name: str, redo: Redo) -> bool:
    run_dir = recipe.run_dir

    def work(out: Path) -> None:
        from codemoe.evaluate.preferences.judge import check_sandbox
        from codemoe.evaluate.preferences.sample import sample

        check_sandbox(WITHOUT_TESTS)  # before answers are sampled for hours
        sample(
            name,
            run_dir / "experts" / name,
            run_dir / "base",
            _tasks(recipe, config, name),
            config,
            recipe.moe.activation,
            _max_new_tokens(recipe, config),
            recipe.seed,
            out,
            run_dir / ".cache" / "verdicts",
        )

    return run_stage(
        folder_of(recipe, "samples", name),
        "samples",
        _sampling(recipe, config, name),
        _inputs(recipe, name),
        work,
        seed=recipe.seed,
        redo=redo,
    )


def _tasks(recipe: Recipe, config: AlignConfig, name: str) -> Any:
    from codemoe.evaluate.preferences.sample import tasks_of

    if not config.samples_per_task:
        return []
    tasks = tasks_of(
        recipe.run_dir / "data", recipe.expert_filters[name], config.max_tasks, recipe.seed
    )
    if not tasks and not config.human:
        raise UserError(
            f"align: no training row of expert {name!r} has tests to run on its answers",
            f"of the sources only the built-in corpus has tests; {WITHOUT_TESTS}",
        )
    return tasks


def _pair(
    recipe: Recipe, config: AlignConfig, name: str, files: dict[str, str], redo: Redo
) -> bool:
    inputs = {"data": recipe.run_dir / "data"}
    if config.samples_per_task:
        inputs["samples"] = folder_of(recipe, "samples", name)

    def work(out: Path) -> None:
        from codemoe.evaluate.preferences.collect import collect
        from codemoe.evaluate.preferences.sample import read_candidates

        candidates = read_candidates(inputs["samples"]) if config.samples_per_task else {}
        tasks = _tasks(recipe, config, name)
        collect(name, tasks, candidates, config, recipe.expert_filters[name], out)

    settings = {
        "expert": name,
        "filter": recipe.expert_filters[name].model_dump(mode="json"),
        "align": config.model_dump(mode="json", include=_PAIRED),
        "files": files,
    }
    return run_stage(
        folder_of(recipe, "pairs", name),
        "pairs",
        settings,
        inputs,
        work,
        seed=recipe.seed,
        redo=redo,
    )


def _check_some_pairs(recipe: Recipe, config: AlignConfig, names: list[str]) -> None:
    """Raise when no expert has anything to learn from."""
    counts = {
        name: json.loads((folder_of(recipe, "pairs", name) / "counts.json").read_text())
        for name in names
    }
    if any(sum(one["pairs"].values()) for one in counts.values()):
        return
    why = {name: one["without_contrast"] | one["human_dropped"] for name, one in counts.items()}
    told = "; ".join(
        f"{name}: {', '.join(f'{reason} {n}' for reason, n in reasons.items()) or 'no tasks'}"
        for name, reasons in why.items()
    )
    raise WorkError(
        f"align: there is no pair for any expert ({told})",
        "sample more, and more differently: align.samples_per_task=16 align.temperature=1.0"
        if config.samples_per_task
        else "see that the rows of align.human are in languages of this run",
    )


def _train(recipe: Recipe, config: AlignConfig, name: str, redo: Redo) -> bool:
    settings: dict[str, Any] = {
        "name": name,
        "align": config.model_dump(mode="json", include=_TRAINED)
        | {
            "train": config.train.model_dump(
                mode="json", exclude={"logging_steps", "checkpoint_steps"}
            )
        },
        "seed": recipe.seed,
    }
    inputs = _inputs(recipe, name)
    if config.method == "grpo":
        settings["sampling"] = _sampling(recipe, config, name)
    else:
        settings["experts"] = {"activation": recipe.experts.activation}
        del inputs["data"]
        inputs[f"pairs/{name}"] = folder_of(recipe, "pairs", name)
    return run_stage(
        folder_of(recipe, "experts", name),
        "aligned",
        settings,
        inputs,
        lambda out: _align(recipe, config, name, out),
        seed=recipe.seed,
        redo=redo,
    )


def _align(recipe: Recipe, config: AlignConfig, name: str, out: Path) -> None:
    from codemoe.models.load import load_base
    from codemoe.models.model_card import read_training, write_card
    from codemoe.models.reference import read_reference
    from codemoe.train.dpo import align_expert, write_training
    from codemoe.train.saved_adapter import settle

    start = recipe.run_dir / "experts" / name
    reference = read_reference(recipe.run_dir / "base")
    told: dict[str, Any]
    activation = recipe.experts.activation
    if config.method == "grpo":
        activation = recipe.moe.activation
        told = _reward(recipe, config, name, out)
    else:
        from codemoe.data.preferences import read_preferences

        pairs = read_preferences(folder_of(recipe, "pairs", name) / "pairs.jsonl")
        if pairs:
            told = align_expert(
                load_base(reference),
                start,
                pairs,
                name=name,
                config=config,
                activation=activation,
                seed=recipe.seed,
                out=out,
            )
        else:
            say(f"align {name}: no pairs, so it stays as it is")
            for file in _ADAPTER_FILES:
                shutil.copyfile(start / file, out / file)
            told = {"pairs": {"used": 0}, "causes": {}, "steps": 0}
    settle(out / "adapter_config.json")
    write_training(out, start, name, activation, config, told)
    about = read_training([out])
    write_card(
        out,
        reference,
        title=f"{name}: an aligned LoRA expert",
        languages=about.languages,
        library="peft",
        kind="lora",
        what=f"A LoRA adapter, trained on data and then aligned by {config.method.upper()} "
        f"({told['steps']} steps).",
        licenses=about.licenses,
    )


def _reward(recipe: Recipe, config: AlignConfig, name: str, out: Path) -> dict[str, Any]:
    """GRPO: the sandbox's verdicts as rewards, while training samples."""
    from codemoe.evaluate.preferences.judge import check_sandbox, make_reward
    from codemoe.models.load import load_base
    from codemoe.models.reference import read_reference
    from codemoe.train.grpo import train_by_reward

    check_sandbox("align.method=dpo with pairs of people in align.human")
    tasks = _tasks(recipe, config, name)
    return train_by_reward(
        load_base(read_reference(recipe.run_dir / "base")),
        recipe.run_dir / "experts" / name,
        [task.row for task in tasks],
        make_reward(tasks, config.timeout_s, recipe.run_dir / ".cache" / "verdicts"),
        name=name,
        config=config,
        activation=recipe.moe.activation,
        max_new_tokens=_max_new_tokens(recipe, config),
        seed=recipe.seed,
        out=out,
    )
