"""Peak memory of one model, although others were loaded in the same process before it.

On a CPU it is how far the process' resident memory rose above where it stood before the model was
loaded: weights, cache and activations, without Python and its libraries, which every model shares.
The kernel keeps the highest value, so that no peak falls between two looks; where it cannot be
reset (not Linux), a thread looks every 20 ms. On a GPU it is the allocator's peak there.
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
    """Made before a model is loaded; `peak_mb` is asked when it has done its work."""

    def __init__(self) -> None:
        gc.collect()
        _return_free_memory()
        self._gpu = torch.cuda.is_available()
        if self._gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self._before = psutil.Process().memory_info().rss
        self._by_kernel = _reset_peak()
        self._sampled = self._before

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Around the work; only needed where the kernel does not keep the peak."""
        if self._gpu or self._by_kernel:
            yield
            return
        stop = threading.Event()
        process = psutil.Process()

        def look() -> None:
            while not stop.wait(_INTERVAL_S):
                self._sampled = max(self._sampled, process.memory_info().rss)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    @property
    def peak_mb(self) -> float:
        """In MiB, from the start until now."""
        if self._gpu:
            return torch.cuda.max_memory_allocated() / 2**20
        peak = _kernel_peak() if self._by_kernel else self._sampled
        return max(0, max(peak, psutil.Process().memory_info().rss) - self._before) / 2**20


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
