"""What works on this machine: torch, device, toolchains, sandbox, disk."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from codemoe import __version__
from codemoe.languages import LANGUAGES, Language

_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "bitsandbytes")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device() -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as error:  # absent, or built for another machine
        return {"kind": "none", "name": f"torch does not load: {error}", "memory_gb": None}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return {
            "kind": "cuda",
            "name": properties.name,
            "memory_gb": round(properties.total_memory / 2**30, 1),
        }
    return {"kind": "cpu", "name": platform.processor() or platform.machine(), "memory_gb": None}


def _toolchain(row: Language) -> dict[str, Any]:
    """`problem` is why the sandbox cannot run the language; `versions` what it would run with."""
    from codemoe.evaluate.sandbox.toolchain import MissingTool, find_tools

    found = {"label": row.label, "missing": row.missing_executables(), "versions": []}
    if row.toolchain is None:
        return {**found, "problem": "codemoe has no way to run it"}
    try:
        return {**found, "problem": None, "versions": [t.version for t in find_tools(row)]}
    except MissingTool as missing:
        return {**found, "problem": str(missing)}


def examine(runs_dir: Path = Path(".")) -> dict[str, Any]:
    """Everything `codemoe doctor` shows, as one JSON object."""
    from codemoe.evaluate.sandbox import probe

    toolchains = {row.name: _toolchain(row) for row in LANGUAGES.values()}
    sandbox = probe()
    free = shutil.disk_usage(runs_dir).free
    return {
        "codemoe": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": _device(),
        "cores": os.cpu_count(),
        "free_disk_gb": round(free / 2**30, 1),
        "toolchains": toolchains,
        "sandbox": {"tier": sandbox.tier, "reason": sandbox.reason, "fix": sandbox.fix},
    }
