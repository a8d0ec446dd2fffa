"""Peak memory of one model, although others were loaded in the same process before it.

On a CPU it is how far the process' resident memory stood, at its highest, above where it stands
when the model is gone again: weights, cache and activations, without Python and its libraries,
which every model shares and the first one loads. The kernel keeps the highest value, so that no
peak falls between two looks; where it cannot be reset (not Linux), a thread looks every 20 ms. On
a GPU it is the allocator's peak there.
"""

import contextlib
import ctypes
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_INTERVAL_S = 0.02


class PeakMemory:
    """Made before a model is loaded; `close` when it has done its work and is gone."""

    def __init__(self) -> None:
        gc.collect()
        _return_free_memory()
        self._gpu = torch.cuda.is_available()
        if self._gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self._by_kernel = _reset_peak()
        self._highest = psutil.Process().memory_info().rss

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Around the work: afterwards the highest value is known."""
        stop = threading.Event()
        thread = threading.Thread(target=self._look, args=(stop,), daemon=True)
        if not (self._gpu or self._by_kernel):
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if thread.ident is not None:
                thread.join()
            now = _kernel_peak() if self._by_kernel else psutil.Process().memory_info().rss
            self._highest = max(self._highest, now)

    def _look(self, stop: threading.Event) -> None:
        process = psutil.Process()
        while not stop.wait(_INTERVAL_S):
            self._highest = max(self._highest, process.memory_info().rss)

    def close(self) -> float:
        """The peak in MiB."""
        if self._gpu:
            return torch.cuda.max_memory_allocated() / 2**20
        gc.collect()
        _return_free_memory()
        return max(0, self._highest - psutil.Process().memory_info().rss) / 2**20


def _return_free_memory() -> None:
    """Freed heap goes back to the system: else the next model would hide in the last one's."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Set the kernel's mark of the highest resident memory to now (proc(5), clear_refs 5)."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return _kernel_peak() > 0


def _kernel_peak() -> int:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(found.split()[1]) * 1024
