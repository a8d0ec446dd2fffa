"""Where a checkpoint is: a folder, or the hub's snapshot of it."""

from pathlib import Path

from codemoe.errors import UserError

# What a reader of a checkpoint folder needs, weights included.
_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "README.md")


def snapshot(name: str, revision: str | None = None, what: str = "the model") -> Path:
    """The folder of a checkpoint on the hub, downloaded where it is not in the cache.

    Raises UserError for a name that is neither there nor reachable.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(_FILES),
                ignore_patterns=["consolidated*", "original/*"],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"cannot find {what} {name!r}, neither as a folder here nor on the hub: "
            f"{str(error).splitlines()[0]}",
            f"check the spelling, or download it first: hf download {name}",
        ) from None
