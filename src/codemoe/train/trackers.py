"""Where a training reports to, beside its own files: the Hugging Face trainer's trackers."""

from collections.abc import Sequence
from importlib.util import find_spec

from codemoe.errors import UserError

# Those of the Hugging Face trainer whose package has another name, or an extra here.
_PACKAGES = {"comet_ml": "comet_ml", "azure_ml": "azureml", "dvclive": "dvclive"}
_TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow", "clearml", "swanlab", *_PACKAGES)


def check_trackers(names: Sequence[str]) -> None:
    """Raise for a tracker that is unknown or not installed, before anything is loaded."""
    for name in names:
        if name not in _TRACKERS:
            raise UserError(
                f"experts.train.report_to: unknown tracker {name!r}; known: {', '.join(_TRACKERS)}"
            )
        if find_spec(_PACKAGES.get(name, name)) is None:
            extra = "'codemoe[track]'" if name == "tensorboard" else name
            raise UserError(
                f"experts.train.report_to: {name} is not installed", f"pip install {extra}"
            )
