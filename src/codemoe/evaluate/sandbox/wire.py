"""The harness's half of launchers/wire.py: one request, as the tests' process reads it."""


def encode(*values: str | int) -> bytes:
    """A tuple of texts and numbers."""
    parts = [b"t%x;" % len(values)]
    for value in values:
        if isinstance(value, int):
            data, tag = b"%x" % value, b"i"
        else:
            data, tag = value.encode("utf-8", "surrogatepass"), b"s"
        parts.append(b"%b%x;%b" % (tag, len(data), data))
    return b"".join(parts)
