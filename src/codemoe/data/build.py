"""From rows of any source to a data set: filter, deduplicate, decontaminate, split, write."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codemoe.data.corpus.rows import one_phrasing
from codemoe.data.dropped import count_reasons, write_dropped
from codemoe.data.filters import Limits, first_reason
from codemoe.data.rows import Drop, Row, write_parquet
from codemoe.data.split import (
    decontaminate,
    drop_exact_duplicates,
    limit_rows,
    split_groups,
)
from codemoe.errors import UserError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """The splits, everything left out, and the numbers people ask for (written as counts.json)."""

    train: list[Row]
    valid: list[Row]
    test: list[Row]
    dropped: list[Drop]
    counts: dict[str, Any]


def build_dataset(
    rows_or_drops: Iterable[Row | Drop],
    *,
    languages: Sequence[str],
    limits: Limits,
    fractions: Mapping[str, float],
    seed: int,
    max_rows_per_language: int | None = None,
    min_rows_per_language: int,
    benchmarks: Sequence[str] = (),
    learned_only: Iterable[Row | Drop] = (),
) -> Dataset:
    """Turn the records of all sources into train, valid and test.

    In this order: keep `languages`, apply the filters with `limits`, drop exact duplicates, drop
    overlap with `benchmarks` (prompts and solutions), keep at most `max_rows_per_language`, split
    by group into `fractions` (by split, adding up to 1), keep one phrasing of a held-out corpus
    task. The splits depend on the seed, not on the order of the rows. Rows of `learned_only` go the
    same way, and then into train, but for those of problems that are held out; they count towards
    no limit.

    Raises UserError when a language has fewer than `min_rows_per_language` rows left, or a split
    with a fraction above 0 no row of a language.
    """
    dropped: list[Drop] = []
    read: Counter[str] = Counter()

    def kept(items: Iterable[Row | Drop]) -> list[Row]:
        rows: list[Row] = []
        for item in items:
            read[item.source] += 1
            if isinstance(item, Drop):
                dropped.append(item)
            elif item.language not in languages:
                dropped.append(_drop(item, "language not in recipe"))
            elif reason := first_reason(item, limits):
                dropped.append(_drop(item, reason))
            else:
                rows.append(item)
        return rows

    rows, only = kept(rows_or_drops), kept(learned_only)
    if only:  # known by their ids from here on
        rows = unique_ids([*rows, *only])
    learned = {row.id for row in rows[-len(only) :]} if only else set()
    rows, more = drop_exact_duplicates(rows)
    dropped += more
    rows, more = decontaminate(rows, benchmarks)
    dropped += more
    only = [row for row in rows if row.id in learned]
    rows = [row for row in rows if row.id not in learned]
    if max_rows_per_language is not None:
        rows, more = limit_rows(rows, max_rows_per_language, seed)
        dropped += more
    rows = unique_ids(rows)

    _check_rows_left(rows, dropped, languages, min_rows_per_language, sum(read.values()))
    splits: dict[str, list[Row]] = {name: [] for name in SPLITS} | split_groups(
        [*rows, *only], fractions, seed
    )
    for name in ("valid", "test"):
        dropped += [
            _drop(row, "of a held-out problem") for row in splits[name] if row.id in learned
        ]
        splits[name] = [row for row in splits[name] if row.id not in learned]
    _check_splits(splits, fractions, languages)
    for name in ("valid", "test"):
        splits[name], more = one_phrasing(splits[name])
        dropped += more
    return Dataset(
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        dropped=dropped,
        counts=_count(splits, dropped, read),
    )


def write_dataset(dataset: Dataset, out_dir: Path) -> None:
    """Write train/valid/test.parquet, dropped.csv and counts.json into an existing directory."""
    for name in SPLITS:
        write_parquet(getattr(dataset, name), out_dir / f"{name}.parquet")
    write_dropped(dataset.dropped, out_dir / "dropped.csv")
    text = json.dumps(dataset.counts, indent=2, ensure_ascii=False)
    (out_dir / "counts.json").write_text(text + "\n", encoding="utf-8")


def unique_ids(rows: Sequence[Row]) -> list[Row]:
    """The rows with `-2`, `-3` ... behind ids that other rows already have."""
    taken = {row.id for row in rows}
    seen: set[str] = set()
    result = []
    for row in rows:
        name, number = row.id, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{row.id}-{number}"
        seen.add(name)
        result.append(row if name == row.id else replace(row, id=name))
    return result


def _drop(row: Row, reason: str) -> Drop:
    return Drop(reason, row.id, row.source, language=row.language)


def _check_rows_left(
    rows: Sequence[Row], dropped: Sequence[Drop], expected: Sequence[str], minimum: int, read: int
) -> None:
    if not rows:
        raise UserError(
            f"no rows left of {read} read ({_reasons(dropped, None)})",
            "check the sources, languages and limits in the recipe's data section",
        )
    left = Counter(row.language for row in rows)
    short = [name for name in expected if left[name] < minimum]
    if short:
        found = "; ".join(f"{n}: {left[n]} rows left ({_reasons(dropped, n)})" for n in short)
        raise UserError(
            f"too few rows for {', '.join(short)}: at least {minimum} are needed; {found}",
            "add a source, loosen the limits, or take the language out of the recipe",
        )


def _reasons(dropped: Sequence[Drop], language: str | None) -> str:
    """What was dropped of one language (or of all), as "dropped 3: code too short; ..."."""
    some = Counter(d.reason for d in dropped if language is None or d.language == language)
    listed = ", ".join(f"{n} {reason}" for reason, n in some.most_common())
    return f"dropped: {listed}" if listed else "none dropped: the sources hold no more"


def _check_splits(
    splits: Mapping[str, Sequence[Row]], fractions: Mapping[str, float], expected: Sequence[str]
) -> None:
    for name, fraction in fractions.items():
        found = {row.language for row in splits[name]}
        missing = [language for language in expected if language not in found]
        if fraction > 0 and missing:
            raise UserError(
                f"the {name} split has no rows of {', '.join(missing)}",
                f"raise the fraction of {name} (now {fraction:g}), add data, or try another seed",
            )


def _count(
    splits: Mapping[str, Sequence[Row]], dropped: Sequence[Drop], read: Mapping[str, int]
) -> dict[str, Any]:
    kept = [row for rows in splits.values() for row in rows]
    return {
        "read": sum(read.values()),
        "kept": len(kept),
        "dropped": len(dropped),
        "rows": {
            name: dict(sorted(Counter(row.language for row in rows).items()))
            for name, rows in splits.items()
        },
        "groups": {name: len({row.group for row in rows}) for name, rows in splits.items()},
        "dropped_by_reason": count_reasons(dropped),
        "read_by_source": dict(sorted(read.items())),
        "kept_by_license": dict(sorted(Counter(row.license for row in kept).items())),
    }
