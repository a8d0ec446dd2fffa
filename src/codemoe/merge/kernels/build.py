"""The inner loops in C: compiled when first needed, kept for later, and never necessary."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from ctypes import c_float, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_name("kernels.c")
# No contraction and no fast-math: each operation is rounded as NumPy rounds it.
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC", "-shared")
_COMPILERS = ("cc", "gcc", "clang")
_TIMEOUT_S = 60
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "task_vectors": (c_void_p, c_int64, c_int64, c_void_p, c_void_p),
    "inside": (c_void_p, c_int64, c_int64, *(c_void_p,) * 5),
    "keep_largest": (c_void_p, c_int64, c_int64, c_void_p, c_void_p),
    "flip": (c_void_p, c_int64, c_void_p, c_int64, c_void_p),
    "add_up": (
        *(c_void_p, c_void_p, c_int64, c_int64, c_void_p, c_void_p),
        *(c_int, c_float, c_float, c_void_p),
    ),
    "merged": (
        *(c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
        *(c_void_p, c_void_p, c_void_p, c_int, c_float, c_float, c_void_p),
    ),
    "to_bfloat16": (c_void_p, c_int64, c_void_p),
}


def library(folder: Path, compile_it: bool) -> ctypes.CDLL | None:
    """The compiled loops, from `folder` or compiled into it; None when neither works."""
    path = folder / f"kernels-{_key()}.so"
    try:
        if not path.is_file():
            if not compile_it:
                return None
            _compile(path)
        if path.stat().st_uid != os.getuid():
            return None  # what another user put there is not run
        found = ctypes.CDLL(str(path))
        for name, arguments in _ARGUMENTS.items():
            function = getattr(found, name)
            function.argtypes, function.restype = arguments, None
        found.task_vectors.restype = found.merged.restype = c_int
    except (OSError, AttributeError, subprocess.SubprocessError):
        return None
    return found


def _compile(path: Path) -> None:
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise FileNotFoundError("no C compiler")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Beside its place until it is whole: two commands may compile at a time.
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        made = Path(place) / path.name
        subprocess.run(
            [compiler, *_FLAGS, "-o", str(made), str(_SOURCE)],
            check=True,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
        made.rename(path)


def _key() -> str:
    """Of the source, how it is compiled, and the processor, whose instructions it may use."""
    found = hashlib.sha256(_SOURCE.read_bytes())
    found.update(repr((_FLAGS, platform.machine())).encode())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found.update("".join(line for line in lines if line.startswith("flags"))[:8192].encode())
    except OSError:
        found.update(platform.processor().encode())
    return found.hexdigest()[:16]
