"""Turn a trained `base/` stage into the checkpoint that ships: float16 weights and a card."""

import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

CARD = """---
license: apache-2.0
language: [code]
library_name: transformers
tags: [codemoe, tiny, code]
---
# codemoe's built-in base

{parameters:,} parameters, Mistral architecture, byte-level BPE of {vocabulary:,} tokens, float16.

It stands in for a pre-trained base in `codemoe demo`: fluent in the Python, Java, JavaScript and
C++ of the built-in corpus, and weak at instructions, because it never saw the prompt format. It was
trained on plain documents: files of one to three functions, {described:.0%} of them under comments
that describe them.

Reproduce it with `make builtin-base` (recipe: `recipes/builtin-base.yaml`; {steps:,} steps of
{batch_tokens:,} tokens, {seconds:.0f} s on {cores}). It read the training split only: no task
semantics of the test split, in any language or phrasing. Final training loss {loss:.3f}.

Not for any use but demonstrations and tests.
"""


def main(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    config = json.loads((target / "config.json").read_text())
    config["dtype"] = "float16"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {k: v.half() for k, v in load_file(source / "model.safetensors").items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    manifest = json.loads((source / "manifest.json").read_text())
    config_of_run = manifest["config"]
    scratch = config_of_run.get("base", config_of_run)["from_scratch"]
    losses = [
        json.loads(line)["loss"] for line in (source / "metrics.jsonl").read_text().splitlines()
    ]
    card = CARD.format(
        parameters=sum(v.numel() for v in weights.values()),
        vocabulary=config["vocab_size"],
        steps=scratch["steps"],
        described=scratch["described_fraction"],
        batch_tokens=scratch["batch_tokens"],
        seconds=manifest["seconds"],
        cores="two CPU cores",
        loss=sum(losses[-10:]) / len(losses[-10:]),
    )
    (target / "README.md").write_text(card)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
