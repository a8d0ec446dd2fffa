"""pytest tests/evaluate/test_memory.py: a model's peak is its own, whatever was loaded before."""

import numpy as np
import pytest

from codemoe.evaluate import memory
from codemoe.evaluate.memory import PeakMemory

MIB = 2**20


def _peak_of(size_mib: int, extra_mib: int) -> float:
    """The peak of "loading" something, and of working with some more for a while."""
    peak = PeakMemory()
    held = np.ones(size_mib * MIB, dtype=np.uint8)
    with peak.watch():
        work = np.ones(extra_mib * MIB, dtype=np.uint8)
        work[0] = held[0]
        memory.threading.Event().wait(0.1)
        del work
    del held
    return peak.close()


@pytest.mark.parametrize("by_kernel", [True, False])
def test_peak_is_what_was_held_at_once(monkeypatch: pytest.MonkeyPatch, by_kernel: bool) -> None:
    if not by_kernel:
        monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    elif not memory._reset_peak():
        pytest.skip("this system does not reset the kernel's mark")
    assert _peak_of(40, 80) == pytest.approx(120, abs=12)
    # A smaller one after a larger one does not inherit its peak.
    assert _peak_of(20, 10) == pytest.approx(30, abs=12)
