"""Stored numbers to float32 and back, in NumPy: exact, rounded once, and light to import.

NumPy has no bfloat16. A bfloat16 is the upper half of a float32, so integers do it, and as fast as
memory allows; torch would cost seconds of start-up and hundreds of megabytes.
"""

import numpy as np

# Bytes of one element, of all that safetensors files may hold and that is copied as it is.
ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
}
# Those that can be computed with.
FLOATS = ("F64", "F32", "F16", "BF16")
_NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
_TORCH_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_NAMES = {long: short for short, long in _TORCH_NAMES.items()}


def dtype_named(name: str) -> str | None:
    """ "bfloat16" or "torch.bfloat16" -> "BF16"; None for what cannot be computed with."""
    return _NAMES.get(name.removeprefix("torch."))


def torch_name(dtype: str) -> str:
    """ "BF16" -> "bfloat16", as config.json has it."""
    return _TORCH_NAMES[dtype]


def to_float32(raw: np.ndarray, dtype: str, out: np.ndarray) -> None:
    """Fill the float32 array `out` with the numbers whose bytes `raw` (uint8) holds."""
    if dtype == "BF16":
        bits = out.view(np.uint32)
        np.copyto(bits, raw.view(np.uint16))
        np.left_shift(bits, 16, out=bits)
    else:
        np.copyto(out, raw.view(_NUMPY[dtype]), casting="unsafe")


def from_float32(values: np.ndarray, dtype: str, out: np.ndarray | None = None) -> np.ndarray:
    """The bytes (uint8) of float32 `values` as `dtype`, rounded to the nearest, ties to even.

    They are written to `out` where that is given; else they may be those of `values`. A number
    beyond the range of float16 becomes infinite, as everywhere; callers check.
    """
    if dtype == "F32" and out is None:
        return values.view(np.uint8)
    if out is None:
        out = np.empty(len(values) * ITEM_BYTES[dtype], np.uint8)
    if dtype != "BF16":
        with np.errstate(over="ignore"):
            np.copyto(out.view(_NUMPY[dtype]), values, casting="same_kind")
        return out
    bits = values.view(np.uint32)
    rounded = bits >> 16
    rounded &= 1
    rounded += 0x7FFF
    rounded += bits  # a NaN may wrap around here: callers let none through
    rounded >>= 16
    np.copyto(out.view(np.uint16), rounded, casting="same_kind")
    return out


def all_finite(raw: np.ndarray, dtype: str) -> bool:
    """Whether no stored number is infinite or NaN, without converting them.

    Infinity is all ones in the exponent, NaN is beyond it: the largest of all positive numbers
    tells, and of all negative ones, whose bits as an unsigned number are above all others.
    """
    if dtype not in _INFINITY or not raw.size:
        return True
    signed, infinity = _INFINITY[dtype]
    largest = int(raw.view(signed).max())
    lowest = int(raw.view(signed.replace("i", "u")).max())  # of the negative ones, if there are any
    sign = 1 << (8 * np.dtype(signed).itemsize - 1)
    return largest < infinity and not lowest >= infinity + sign


_INFINITY = {
    "BF16": ("i2", 0x7F80),
    "F16": ("i2", 0x7C00),
    "F32": ("i4", 0x7F80_0000),
    "F64": ("i8", 0x7FF0_0000_0000_0000),
}
