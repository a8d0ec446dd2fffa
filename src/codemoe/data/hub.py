"""Rows of a data set on the Hugging Face hub. The one place of this package that downloads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codemoe.errors import UserError, WorkError


def is_hub_id(path: str | Path) -> bool:
    """Whether a source is a data set on the hub: `owner/name`, and no such file or folder here."""
    return bool(re.fullmatch(r"\w[\w.-]*/[\w.-]+", str(path))) and not Path(path).exists()


def load_hub_rows(
    repo: str,
    config: str | None = None,
    *,
    split: str,
    revision: str | None = None,
    data_file: str | None = None,
    data_dir: str | None = None,
    streaming: bool = False,
) -> Iterator[dict[str, Any]]:
    """The rows of one split.

    Newer versions of `datasets` refuse repositories that need a loading script. Then the JSON file
    `data_file` of the repository is read itself, which runs nobody's code.

    Raises UserError when the data set or split is not there, WorkError when it cannot be fetched
    to its end.
    """
    from datasets import load_dataset

    options: dict[str, Any] = {"split": split, "revision": revision, "streaming": streaming}
    if data_dir is not None:
        options["data_dir"] = data_dir
    try:
        rows = load_dataset(repo, config, **options)
    except Exception as error:
        if data_file is None or not _needs_other_loader(error):
            raise _explain(repo, config, error) from error
        at = f"hf://datasets/{repo}" + (f"@{revision}" if revision else "")
        try:
            # The file holds one split only, whatever the repository calls it.
            rows = load_dataset("json", data_files=f"{at}/{data_file}", split="train")
        except Exception as second:
            raise _explain(repo, config, second) from second
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except Exception as error:
        raise _broken(repo, config, error, f"read on after row {number} of") from error


def _needs_other_loader(error: Exception) -> bool:
    """Scripts refused (RuntimeError), or configurations or files not recognised without one."""
    names = {type(e).__name__ for e in (error, error.__cause__) if e is not None}
    if names & {"DataFilesNotFoundError", "EmptyDatasetError"}:
        return True
    return "script" in str(error).lower() or "BuilderConfig" in str(error)


def _explain(repo: str, config: str | None, error: Exception) -> UserError:
    if isinstance(error, ValueError | FileNotFoundError) or "NotFound" in type(error).__name__:
        return UserError(
            f"cannot find the hub data set {_name(repo, config)}: {_reason(error)}",
            "check the id and revision, log in with `hf auth login`, or name a local folder",
        )
    return _broken(repo, config, error, "load")


def _broken(repo: str, config: str | None, error: Exception, what: str) -> WorkError:
    return WorkError(
        f"cannot {what} the hub data set {_name(repo, config)}: "
        f"{type(error).__name__}: {_reason(error)}",
        "check the network, or download it once and name the local folder in the recipe",
    )


def _name(repo: str, config: str | None) -> str:
    return repo + (f" ({config})" if config else "")


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
