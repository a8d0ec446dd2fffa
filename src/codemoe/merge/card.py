"""The model card of a merge or a mixture: what went in, and the recipe that makes it again."""

from collections.abc import Sequence
from pathlib import Path

from codemoe import __version__
from codemoe.merge.model import Model


def write_card(path: Path, verb: str, recipe: Path, title: str, models: Sequence[Model]) -> None:
    """README.md beside the weights; `codemoe VERB RECIPE` makes them again. Folders of this machine
    are told by their last name."""
    listed = "\n".join(f"- {_public(model)}" for model in models)
    text = f"""---
library_name: transformers
tags:
- merge
- codemoe
---

# {title}

Made by codemoe {__version__} from:

{listed}

`manifest.json` has the SHA-256 of every file. The recipe, for `codemoe {verb} RECIPE.yaml OUT`:

```yaml
{recipe.read_text(encoding="utf-8-sig").strip()}
```
"""
    path.write_text(text, encoding="utf-8")


def _public(model: Model) -> str:
    name, plus, adapter = model.text.partition("+")
    parts = [Path(part).name if Path(part).is_absolute() else part for part in (name, adapter)]
    return f"{parts[0]} with the adapter {parts[1]}" if plus else parts[0]
