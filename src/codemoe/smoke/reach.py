"""Was something not found, or could the hub not be asked? Only the latter may be stood in for."""

from collections.abc import Iterator

_UNREACHABLE = {
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "ReadTimeout",
}


def unreachable(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that the network is not there."""
    return any(type(one).__name__ in _UNREACHABLE for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
