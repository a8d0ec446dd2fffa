"""Conversions agree with torch bit for bit, and NaN is seen in every type.

Run with: pytest tests/models/storage/test_dtypes.py
"""

import numpy as np
import pytest
import torch

from codemoe.models.storage.dtypes import all_finite, from_float32, to_float32

TORCH = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


def _raw(tensor: torch.Tensor) -> np.ndarray:
    return tensor.contiguous().view(torch.uint8).numpy().copy()


@pytest.mark.parametrize("dtype", TORCH)
def test_to_float32_and_back(dtype: str) -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.cat([torch.randn(4001, generator=random) * s for s in (1e-4, 1.0, 300.0)])
    stored = values.to(TORCH[dtype])
    out = np.empty(len(values), np.float32)
    to_float32(_raw(stored), dtype, out)
    assert np.array_equal(out, stored.float().numpy())
    assert np.array_equal(from_float32(values.numpy(), dtype), _raw(stored))


def test_bfloat16_rounds_ties_to_even_over_all_patterns() -> None:
    """Every upper half, with lower halves around the middle."""
    upper = np.arange(0, 0x7F80, 7, dtype=np.uint32) << 16
    for lower in (0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        values = (upper | lower).view(np.float32)
        expected = torch.from_numpy(values.copy()).bfloat16()
        assert np.array_equal(from_float32(values, "BF16"), _raw(expected)), hex(lower)


@pytest.mark.parametrize("dtype", TORCH)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_seen(dtype: str, bad: float) -> None:
    values = torch.randn(999).to(TORCH[dtype])
    assert all_finite(_raw(values), dtype)
    values[500] = bad
    assert not all_finite(_raw(values), dtype)
    assert all_finite(np.empty(0, np.uint8), dtype)
