"""The arithmetic of the `codebleu` package, version 0.7.0, quirks included.

For comparing with published numbers, never for judging models: docs/codebleu.md lists what this
arithmetic gives away. Written from the package's behaviour; what today's grammars build otherwise
is changed back.
"""

from codemoe.evaluate.codebleu.compat.program import (
    CompatProgram,
    read_compat,
    read_compat_predictions,
    read_compat_references,
    read_compats,
)
from codemoe.evaluate.codebleu.compat.score import (
    PACKAGE_LANGUAGES,
    compat_score,
    count_pair,
)

__all__ = [
    "PACKAGE_LANGUAGES",
    "CompatProgram",
    "compat_score",
    "count_pair",
    "read_compat",
    "read_compat_predictions",
    "read_compat_references",
    "read_compats",
]
