"""Where the recipes of `codemoe demo` are."""

from pathlib import Path

from codemoe.errors import UserError


def recipe_path(fast: bool) -> Path:
    """The demo's recipe: inside an installed package, or at the top of a checkout."""
    name = "demo-fast.yaml" if fast else "demo.yaml"
    package = Path(__file__).parent
    for folder in (package / "recipes", package.parent.parent / "recipes"):
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{name} is missing from this installation", "pip install --force-reinstall codemoe"
    )
