"""Gates before any training: how often each start routes held-out text to its own expert.

Every start makes one gate (E, D) a layer, without a bias, as Mixtral has them. All are judged on
the same validation rows, by what a Mixtral router would see: the input of each layer's MLP.
    python benchmarks/gate_starts.py runs/demo recipes/demo.yaml [--mergekit VENV/bin/mergekit-moe]
"""

# N tokens or sequences, D model, E experts, L layers

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from paired import RESULTS, provenance, publish
from safetensors import safe_open

from codemoe.data.rows import Row
from codemoe.data.stage import read_split
from codemoe.evaluate.answers import held_out
from codemoe.languages import get_language
from codemoe.merge.dense import merge_adapters, method_recipe
from codemoe.models.features import mlp_inputs
from codemoe.models.load import CodeModel, load_mixture
from codemoe.models.reference import read_reference, resolve
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe
from codemoe.routing.fit import Method, fit_router
from codemoe.routing.init import orthogonal_gate, prompt_gate, random_gate
from codemoe.train.gate_starts import start_gates
from codemoe.train.router_features import instruction_ids, prompt_samples, sequence_samples
from codemoe.train.router_stage import labelled_rows

# What is judged on, and how the table's head calls it.
KINDS = {
    "prompt": "prompts, which name the language",
    "language line": "the beginning of a text, and its language's line",
    "snippet": "20 tokens of code, which do not",
}
SEEDS = 5  # of the random starts, averaged
# What people write into mergekit's recipes, and what tells languages apart.
SENTENCE = {
    name: [f"You are a helpful coding assistant good at {get_language(name).label}"]
    for name in ("python", "java", "javascript", "cpp")
}
CUES = {
    "python": ["Write it in Python", "def solve(values):", "for i in range(len(text)):"],
    "java": ["Write it in Java", "public static int solve(int[] values) {", 'String text = "";'],
    "javascript": ["Write it in JavaScript", "function solve(values) {", "const text = [];"],
    "cpp": ["Write it in C++", "#include <vector>", "int solve(std::vector<int> values) {"],
}
Gates = Sequence[torch.Tensor]  # (E, D) for each layer


@dataclass(frozen=True)
class Sample:
    """The states of one text in every layer, (L, N, D), and whose it is."""

    states_LND: torch.Tensor
    label: int


@torch.no_grad()
def read(model: CodeModel, rows: Sequence[Row], labels: Sequence[int], kind: str) -> list[Sample]:
    layers = list(range(model.model.config.num_hidden_layers))
    samples = []
    with mlp_inputs(model.model, layers) as inputs:
        for row, label in zip(rows, labels, strict=True):
            ids = torch.tensor([instruction_ids(model.tokenizer, row, kind)])
            model.model(input_ids=ids, logits_to_keep=1)
            samples.append(Sample(torch.stack([inputs[i][0] for i in layers]), label))
    return samples


@dataclass(frozen=True)
class Accuracy:
    tokens: float  # right choices of single tokens, over layers
    texts: float  # right choices of whole texts by mean logits, over layers
    best_layer: float  # the same in the best layer


def accuracy(gates: Gates, samples: Sequence[Sample]) -> Accuracy:
    tokens_L, texts_L = [], []
    for layer, gate_ED in enumerate(gates):
        logits = [(s.states_LND[layer] @ gate_ED.T, s.label) for s in samples]
        right = torch.cat([one.argmax(-1) == label for one, label in logits])
        tokens_L.append(float(right.double().mean()))
        texts = [int(one.mean(0).argmax()) == label for one, label in logits]
        texts_L.append(sum(texts) / len(texts))
    mean = len(gates)
    return Accuracy(sum(tokens_L) / mean, sum(texts_L) / mean, max(texts_L))


def from_prompts(model: CodeModel, texts: dict[str, list[str]]) -> Gates:
    assert model.mixture is not None
    samples = prompt_samples(model, [(texts[name], ()) for name in model.mixture.experts])
    return [
        prompt_gate(states_ND, samples.labels_N, samples.signs_N, len(texts))
        for states_ND in samples.features_LND
    ]


def fitted(model: CodeModel, rows: Sequence[Row], labels: Sequence[int], method: Method) -> Gates:
    """On prompts and snippets of the training rows, pooled: what sequences look like."""
    assert model.mixture is not None
    samples = sequence_samples(model, rows, labels)
    width = model.model.config.hidden_size
    return [
        fit_router(
            states_ND[:, :width],
            samples.labels_N,
            len(model.mixture.experts),
            method=method,
            groups_N=samples.groups_N,
            bias=False,
        ).weight_ED
        for states_ND in samples.features_LND
    ]


def fitted_on_answers(
    model: CodeModel, rows: list[Row], labels: list[int], recipe: Recipe
) -> Gates:
    gates, _ = start_gates(model, rows, labels, recipe)
    return [gate.weight.detach() for gate in gates if gate is not None]


def by_mergekit(command: str, recipe: Recipe, texts: dict[str, list[str]], folder: Path) -> Gates:
    """What `gate_mode: hidden` writes for the same experts and prompts."""
    run = recipe.run_dir
    config: dict[str, Any] = {"gate_mode": "hidden", "dtype": "float32", "experts": []}
    for name in recipe.expert_filters:
        base = Path(resolve(read_reference(run / "base").model))
        config["base_model"] = str(base)
        (folder / name).mkdir()
        alone = method_recipe("average", 1, density=1, weight=1)
        merge_adapters(base, [run / "experts" / name], alone, folder / name, name)
        config["experts"].append(
            {"source_model": str(folder / name), "positive_prompts": texts[name]}
        )
    recipe_file = folder / "moe.yaml"
    recipe_file.write_text(yaml.safe_dump(config))
    subprocess.run([command, str(recipe_file), str(folder / "out")], check=True)
    gates: dict[int, torch.Tensor] = {}
    for path in (folder / "out").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118
                if key.endswith("gate.weight"):
                    gates[int(key.split(".")[2])] = file.get_tensor(key).float()
    return [gates[layer] for layer in sorted(gates)]


def starts(
    model: CodeModel,
    training: tuple[list[Row], list[int]],
    recipe: Recipe,
    mergekit: str | None,
) -> Iterator[tuple[str, list[Gates]]]:
    """Each start's name and its gates, once a seed."""
    config = model.model.config
    shape = (len(recipe.expert_filters), config.hidden_size)
    for name, make in (("random", random_gate), ("orthogonal", orthogonal_gate)):
        generators = [torch.Generator().manual_seed(seed) for seed in range(SEEDS)]
        yield name, [[make(*shape, g) for _ in range(config.num_hidden_layers)] for g in generators]
    for what, texts in (("a sentence", SENTENCE), ("language and code", CUES)):
        if mergekit:
            with tempfile.TemporaryDirectory() as folder:
                yield (
                    f"mergekit `hidden`, {what}",
                    [by_mergekit(mergekit, recipe, texts, Path(folder))],
                )
        yield f"prompts, {what}", [from_prompts(model, texts)]
    yield "fitted (ridge) on answers", [fitted_on_answers(model, *training, recipe)]
    yield "fitted (ridge) on prompts and snippets", [fitted(model, *training, "ridge")]
    yield "fitted (logistic) on prompts and snippets", [fitted(model, *training, "logistic")]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run with its router stage finished")
    parser.add_argument("recipe", type=Path, help="its recipe")
    parser.add_argument("--rows", type=int, default=50, help="validation rows a language")
    parser.add_argument("--mergekit", help="mergekit-moe of an environment with mergekit 0.1.5")
    parser.add_argument("--out", type=Path, default=RESULTS / "gate_starts.md")
    options = parser.parse_args(arguments)
    recipe = load_recipe(options.recipe, [f"runs_dir={options.run.parent}"])
    model = load_mixture(options.run / "moe")
    valid = read_split(options.run / "data", "valid")
    rows = held_out(valid, recipe.languages, options.rows, recipe.seed)
    experts = list(recipe.expert_filters)
    labels = [experts.index(recipe.expert_of_language()[row.language]) for row in rows]
    held = {kind: read(model, rows, labels, kind) for kind in KINDS}
    training = labelled_rows(
        read_split(options.run / "data", "train"), recipe, recipe.router.samples_per_expert
    )
    lines = [
        "# Gates before any training",
        "",
        f"{len(rows)} validation rows ({', '.join(recipe.languages)}); {len(training[0])} training "
        "rows for the fitted gates. A token or a text is right when its own language's expert has "
        "the largest logit; a text decides by the mean over its tokens. Over layers: the mean, and "
        f"the best layer. Random starts: the mean of {SEEDS} seeds; chance is "
        f"{1 / len(experts):.3f}.",
        "",
        *provenance("gate_starts.py", arguments, "cpu", "mergekit 0.1.5"),
        "",
        "| start | "
        + " | ".join(f"{head}: tokens | texts | best layer" for head in KINDS.values())
        + " |",
        "|---" * (1 + 3 * len(KINDS)) + "|",
    ]
    for name, seeds in starts(model, training, recipe, options.mergekit):
        cells = []
        for kind in KINDS:
            found = [accuracy(gates, held[kind]) for gates in seeds]
            for key in ("tokens", "texts", "best_layer"):
                cells.append(f"{sum(getattr(one, key) for one in found) / len(found):.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    publish(lines, options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
