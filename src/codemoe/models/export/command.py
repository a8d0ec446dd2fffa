"""`codemoe export`: plan, write into a temporary folder, reload and compare, then rename."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from codemoe.disk import disk_fault, existing_parent, fsync, fsync_tree, parse_size
from codemoe.errors import UserError, WorkError
from codemoe.progress import progress, say

if TYPE_CHECKING:
    from codemoe.models.export.plan import Plan
    from codemoe.models.export.source import Source

DESCRIPTION = "codemoe.json"
FORMATS = ("mixtral", "qwen-moe", "gguf", "lora-pack")


def export_model(
    model: str,
    out: Path,
    to: str,
    *,
    activation: str | None = None,
    max_memory: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the mixture at `model` into the folder `out`, in format `to`, and prove it equal.

    Raises UserError for what cannot be exported without loss, WorkError when the reloaded export
    differs. In both cases nothing is left behind.
    """
    started = time.monotonic()
    if to not in FORMATS:
        raise UserError(f"unknown format {to!r}; known: {', '.join(FORMATS)}", f"--to {FORMATS[0]}")
    if activation not in (None, "all", "completion"):
        raise UserError(f"unknown activation {activation!r}; known: all, completion")
    if activation == "completion" and to != "lora-pack":
        raise UserError(
            f"the experts of a {to} checkpoint act on all tokens; nothing in it could switch them "
            "on at the marker",
            "--to lora-pack --activation completion",
        )
    memory = parse_size(max_memory) if max_memory else int(psutil.virtual_memory().available * 0.8)
    _refuse_existing(out, force)

    from codemoe.models.export.card import write_card, write_description
    from codemoe.models.export.source import open_source

    source = open_source(model)
    acts = activation or (source.activation if to == "lora-pack" else "all")
    plan = _plan(source, to, acts, memory)
    _refuse_full_disk(out, plan.num_bytes + plan.scratch_bytes)
    unit = "adapters" if to == "lora-pack" else "tensors"
    with _in_place_of(out) as partial:
        with progress(f"export {to}", plan.steps, unit) as advance:
            plan.write(partial, advance)
        say("checking: the export is reloaded and its logits are compared with the mixture's")
        scratch = partial / ".check"
        scratch.mkdir()
        check = plan.check(partial, scratch)
        shutil.rmtree(scratch)
        write_description(partial / DESCRIPTION, source, to, acts)
        write_card(partial / "README.md", source, to, acts, check)
    return {
        "path": str(out),
        "format": to,
        "bytes": sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        "max_abs_logit_difference": check.max_abs_logit_difference,
        "tolerance": check.tolerance,
        "tokens": check.tokens,
        "checked_by": check.reader,
        "rounding": asdict(check.rounding) if check.rounding else None,
        "seconds": round(time.monotonic() - started, 3),
    }


def _plan(source: "Source", to: str, activation: str, max_memory: int) -> "Plan":
    if to == "lora-pack":
        from codemoe.models.export.lora_pack import plan_pack

        return plan_pack(source, activation, max_memory)
    if to == "gguf":
        from codemoe.models.export.llama_cpp import plan_gguf

        return plan_gguf(source, max_memory)
    from codemoe.models.export.sparse import plan_sparse

    return plan_sparse(source, to, max_memory)


def _refuse_existing(out: Path, force: bool) -> None:
    """An export replaces nothing but an empty folder or, with --force, an earlier export."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise UserError(f"{out} exists", "choose another name, or replace it: --force")
    if not (out / DESCRIPTION).is_file():
        raise UserError(
            f"{out} is not an export of codemoe's (it has no {DESCRIPTION}), so --force does not "
            "replace it",
            "choose another name, or remove it yourself",
        )


def _refuse_full_disk(out: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(existing_parent(out)).free
    if free < num_bytes:
        raise WorkError(
            f"the export takes {num_bytes / 1e9:.2f} GB while it is made and checked, but "
            f"{free / 1e9:.2f} GB are free at {existing_parent(out)}",
            "free some space, or choose another disk",
        )


@contextmanager
def _in_place_of(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, and vanishes if not."""
    out = out.absolute()
    partial, old = out.parent / f".{out.name}.partial", out.parent / f".{out.name}.old"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
        partial.mkdir()
        yield partial
        fsync_tree(partial)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        partial.rename(out)
        fsync(out.parent)
        shutil.rmtree(old, ignore_errors=True)
    except Exception as error:
        fault = disk_fault(error, out)
        if fault is None:
            raise
        raise type(fault)(fault.what, "free some space, or choose another place") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
