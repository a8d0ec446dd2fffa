"""The words that the package weighs as keywords, its mistakes included.

As differences from the language table: what the package lacks, what it has beside.
"""

from codemoe.languages import LANGUAGES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LACKS = {
    "java": "false null record true var yield",
    "javascript": "async get of set true undefined",
    "cpp": (
        "alignas alignof co_await co_return co_yield concept consteval constexpr "
        "constinit decltype export final noexcept nullptr override requires restrict "
        "static_assert thread_local"
    ),
    "c": "inline restrict",
    "csharp": "record",
    "go": "iota nil",
    "php": "enum false finally fn match null readonly true yield",
    "rust": "Self",
}
_HAS = {
    "python": "case type",
    "javascript": "True enum implements interface package private protected public",
    "cpp": (
        "INT_MAX INT_MIN MAX_RAND NULL and_eq bitand bitor cin compl cout endl include "
        "iomanip iostream main not_eq npos or_eq std string xor_eq"
    ),
    "c": "_Packed",
    "csharp": (
        "add alias ascending by descending dynamic equals from global group into join let "
        "nameof notnull on orderby partial remove select unmanaged value when where"
    ),
    "php": "__halt_compiler die eval exit",
    "rust": (
        "block bool char default expr f32 f64 i128 i16 i32 i64 i8 ident isize item "
        "lifetime literal macro_rules! meta pat path stmt str tt ty u128 u16 u32 u64 u8 "
        "usize vis yield"
    ),
    "ruby": "__ENCODING__ __FILE__ __LINE__",
}

KEYWORDS: dict[str, frozenset[str]] = {
    name: (row.keywords - _words(_LACKS.get(name, ""))) | _words(_HAS.get(name, ""))
    for name, row in LANGUAGES.items()
}
