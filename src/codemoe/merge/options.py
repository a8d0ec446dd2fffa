"""What a merge or an assembly is told besides its recipe."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

SHARD_BYTES = 10**9
MEMORY_BYTES = 512 * 10**6


@dataclass(frozen=True)
class Options:
    """What the command line says besides the recipe; no output depends on `threads` or on
    `max_memory`."""

    prefer: Mapping[str, str]
    max_memory: int = MEMORY_BYTES
    shard_bytes: int = SHARD_BYTES
    threads: int = 0  # 0: all cores
    seed: int = 0
    force: bool = False
    allow_identical: bool = False
    rank: int = 0  # above 0: adapters are merged into an adapter of that rank

    @property
    def num_threads(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))
