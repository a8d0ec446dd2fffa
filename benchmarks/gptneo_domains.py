"""Experts of domains in a tiny GPT-Neo of random weights: every model's loss on every domain.

Runs recipes/gptneo-domains.yaml up to its router, then reads the held-out rows of each domain with
the base, each expert alone and the mixture (gates as fitted, and after the mixture layers were
trained). The loss is the mean over a domain's answer tokens, in nats; a smaller one is better.

    python benchmarks/gptneo_domains.py --data FOLDER
"""

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import transformers
from paired import RESULTS, provenance, publish

from codemoe.artifacts import read_manifest
from codemoe.data.rows import Row
from codemoe.data.stage import read_split
from codemoe.evaluate.statistics import bootstrap_interval
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.load import CodeModel, load_mixture
from codemoe.models.routers_file import ROUTER_FILE
from codemoe.pipeline import STAGES, run_stages
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe
from codemoe.train.batches import IGNORE, Collator, as_sample, encode_fitting

RECIPE = Path(__file__).parents[1] / "recipes" / "gptneo-domains.yaml"
NEEDED = ("data", "base", "experts", "moe", "router")
# GPT-Neo's architecture, untrained: embeddings and attention stay as they are drawn.
TINY = (
    "base={from_scratch: {model_type: gpt_neo, steps: 0, vocab_size: 2048, hidden_size: 128, "
    "num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 4, "
    "intermediate_size: 512}}"
)
Scope = Callable[[torch.Tensor], AbstractContextManager[Any]]  # of the gates, for (B, T) tokens


def losses_of(model: CodeModel, rows: Sequence[Row], scope: Scope, length: int) -> list[float]:
    """Mean loss of each row's answer."""
    kept, _ = encode_fitting(rows, model.tokenizer, length)
    order = sorted(range(len(kept)), key=lambda i: len(kept[i][1].input_ids))
    collate = Collator(model.tokenizer.pad_token_id)
    found = [0.0] * len(kept)
    for at in range(0, len(order), 16):
        some = order[at : at + 16]
        batch = collate([as_sample(kept[i][1], "all") for i in some])
        with torch.no_grad(), scope(batch["active_BT1"]):
            output = model.model(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                use_cache=False,
            )
        labels_BT = batch["labels"][:, 1:]
        each_BT = torch.nn.functional.cross_entropy(
            output.logits[:, :-1].transpose(1, 2), labels_BT, ignore_index=IGNORE, reduction="none"
        )
        counts_B = (labels_BT != IGNORE).sum(1)
        for i, loss in zip(some, (each_BT.sum(1) / counts_B).tolist(), strict=True):
            found[i] = loss
    return found


def measured(recipe: Recipe, split: str) -> dict[str, dict[str, list[float]]]:
    """model -> domain -> the loss of each held-out row, in the same order for every model."""
    rows = read_split(recipe.run_dir / "data", split)
    by_domain = {
        name: [row for row in rows if one.admits(row.language, row.source)]
        for name, one in recipe.expert_filters.items()
    }
    apart = load_mixture(recipe.run_dir / "moe")
    together = load_mixture(recipe.run_dir / "moe", recipe.run_dir / "router" / ROUTER_FILE)
    assert apart.mixture is not None
    assert together.mixture is not None
    layers, trained = apart.mixture.layers, together.mixture
    experts = len(recipe.expert_filters)

    def alone(index: int, steered: Any) -> Scope:
        gates = one_hot_gates(torch.tensor([index]), experts)
        return lambda active: steered.use(gates.expand(len(active), -1, -1))

    models: dict[str, tuple[CodeModel, Scope]] = {
        "GPT-Neo, frozen": (apart, lambda active: nullcontext())
    }
    for index, name in enumerate(recipe.expert_filters):
        models[f"expert {name}"] = (apart, alone(index, layers))
    models["mixture"] = (
        together,
        lambda active: trained.layers.use_tokens(trained.token_routers, active),
    )
    for index, name in enumerate(recipe.expert_filters):
        models[f"expert {name}, trained on in the mixture"] = (
            together,
            alone(index, trained.layers),
        )
    length = recipe.experts.train.max_length
    return {
        label: {domain: losses_of(model, own, scope, length) for domain, own in by_domain.items()}
        for label, (model, scope) in models.items()
    }


def told(recipe: Recipe, found: dict[str, dict[str, list[float]]], command: list[str]) -> list[str]:
    domains = list(recipe.expert_filters)
    mean = {m: {d: sum(x) / len(x) for d, x in by.items()} for m, by in found.items()}
    alone = [f"expert {name}" for name in domains]
    lines = [
        "# Experts of domains in GPT-Neo",
        "",
        *provenance(
            "gptneo_domains.py", command, "cpu", f"transformers {transformers.__version__}"
        ),
        "",
        "Loss in nats per answer token (a row's mean, then the mean over rows) on held-out rows of "
        "each domain, with the share of rows on which it is the best of the three experts.",
        "",
        f"| model | {' | '.join(f'{d} ({len(found[alone[0]][d])} rows)' for d in domains)} |",
        "|---" * (len(domains) + 1) + "|",
    ]
    for model, by in mean.items():
        cells = []
        for domain in domains:
            text = f"{by[domain]:.3f}"
            if model in alone:
                rows = zip(*(found[m][domain] for m in alone), strict=True)
                best = [min(row) == row[alone.index(model)] for row in rows]
                text = f"{text} ({sum(best) / len(best):.0%})"
                if model == f"expert {domain}":
                    text = f"**{text}**"
            cells.append(text)
        lines.append(f"| {model} | {' | '.join(cells)} |")
    heads = ["domain", "own expert minus the best other [95 %]", "mixture over the best expert"]
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for domain in domains:
        own = found[f"expert {domain}"][domain]
        others = [m for m in alone if m != f"expert {domain}"]
        rival = min(others, key=lambda m: mean[m][domain])
        gaps = [a - b for a, b in zip(own, found[rival][domain], strict=True)]
        low, high = bootstrap_interval(gaps)
        best = min(mean[m][domain] for m in alone)
        over = mean["mixture"][domain] / best - 1
        gap = f"{sum(gaps) / len(gaps):+.3f} [{low:+.3f}, {high:+.3f}] ({rival})"
        lines.append(f"| {domain} | {gap} | {over:+.2%} |")
    manifests = {name: read_manifest(recipe.run_dir / "experts" / name) for name in domains}
    router = read_manifest(recipe.run_dir / "router")
    about = json.loads((recipe.run_dir / "router" / "routing_metrics.json").read_text())
    accuracies = ", ".join(f"{one['accuracy']:.3f}" for one in about["token"])
    lines += [
        "",
        f"Trained in {sum(m['seconds'] for m in manifests.values()):.0f} s (the experts) and "
        f"{router['seconds']:.0f} s (gates fitted, then the mixture layers trained). The sequence "
        f"router is right on {about['sequence']['accuracy']:.3f} (cross-validated); the gates as "
        f"fitted, by layer, on {accuracies} of answer tokens.",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the three files")
    parser.add_argument("--set", action="append", default=[], help="a key of the recipe")
    parser.add_argument("--runs", default="runs", help="where runs are kept")
    parser.add_argument("--split", choices=("test", "valid"), default="test")
    parser.add_argument("--out", type=Path, default=RESULTS / "gptneo_domains.md")
    options = parser.parse_args()
    names = ("coding", "math", "cot")
    paths = [f"data.sources.{i}.path={options.data / name}.jsonl" for i, name in enumerate(names)]
    keys = [f"runs_dir={options.runs}", TINY, "experts.dense_baseline=false", *paths, *options.set]
    recipe = load_recipe(RECIPE, keys)
    run_stages(recipe, tuple(stage for stage in STAGES if stage.name in NEEDED))
    sets = [part for key in options.set for part in ("--set", key)]
    command = ["--data", "DOMAINS", *sets, "--split", options.split]
    publish(told(recipe, measured(recipe, options.split), command), options.out)


if __name__ == "__main__":
    main()
