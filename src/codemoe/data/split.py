"""Exact duplicates, and splits that never share a problem, a program or a description."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from codemoe.data.rows import Drop, Row, normalise, stable_hash


def drop_exact_duplicates(rows: Iterable[Row]) -> tuple[list[Row], list[Drop]]:
    """Keep the first of the rows with the same language, code and text up to white space.

    The kept rows come back in their order, with groups united as `unite_groups` says.
    """
    first: dict[tuple[str, str, str], str] = {}
    kept: list[Row] = []
    dropped: list[Drop] = []
    for row in rows:
        key = (row.language, stable_hash(normalise(row.code)), stable_hash(normalise(row.text)))
        if key in first:
            detail = f"same as {first[key]}"
            dropped.append(
                Drop("exact duplicate", row.id, row.source, language=row.language, detail=detail)
            )
        else:
            first[key] = row.id
            kept.append(row)
    return unite_groups(kept), dropped


def unite_groups(rows: Sequence[Row]) -> list[Row]:
    """Give rows that share code or text (up to white space) one group: the smallest name of theirs.

    So no program and no description can end up on two sides of a split by groups. Idempotent, and
    the result does not depend on the order of the rows.
    """
    parents: dict[str, str] = {}

    def find(key: str) -> str:
        parents.setdefault(key, key)
        root = key
        while parents[root] != root:
            root = parents[root]
        while parents[key] != root:  # path compression
            parents[key], key = root, parents[key]
        return root

    for row in rows:
        keys = [f"group {row.group}", f"code {stable_hash(normalise(row.code), 16)}"]
        if text := normalise(row.text):
            keys.append(f"text {stable_hash(text, 16)}")
        for one, other in pairwise(keys):
            parents[find(one)] = find(other)
    names: dict[str, str] = {}
    for row in rows:
        root = find(f"group {row.group}")
        names[root] = min(names.get(root, row.group), row.group)
    return [
        row
        if (name := names[find(f"group {row.group}")]) == row.group
        else replace(row, group=name)
        for row in rows
    ]


def split_groups(
    rows: Sequence[Row], fractions: Mapping[str, float], seed: int
) -> dict[str, list[Row]]:
    """Rows by split name. One group, one program and one description are always in one split.

    A group's place comes from a hash of its name and the seed alone, so it depends neither on the
    order nor on the other rows (except where a new row unites two groups). The sizes are therefore
    the fractions, which add up to 1, only on average.
    """
    splits: dict[str, list[Row]] = {name: [] for name in fractions}
    for row in unite_groups(rows):
        splits[_split_of(row.group, fractions, seed)].append(row)
    return splits


def _split_of(group: str, fractions: Mapping[str, float], seed: int) -> str:
    place = int(stable_hash(f"split {seed} {group}"), 16) / 2**64
    edge, last = 0.0, ""
    for name, fraction in fractions.items():
        if fraction <= 0:
            continue
        edge, last = edge + fraction, name
        if place < edge:
            return name
    return last  # the sum was a rounding error short of 1


def limit_rows(
    rows: Sequence[Row], max_rows_per_language: int, seed: int
) -> tuple[list[Row], list[Drop]]:
    """Keep at most so many rows of each language, the same problems in every language if it can.

    Which ones is a hash of the group and the seed: a larger limit keeps what a smaller one kept.
    """
    by_language: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_language[row.language].append(row)
    keep: set[int] = set()
    for members in by_language.values():
        members.sort(key=lambda row: (stable_hash(f"keep {seed} {row.group}"), row.id))
        keep.update(id(row) for row in members[:max_rows_per_language])
    reason = "over the row limit"
    dropped = [
        Drop(reason, row.id, row.source, language=row.language)
        for row in rows
        if id(row) not in keep
    ]
    return [row for row in rows if id(row) in keep], dropped


# -- benchmarks ------------------------------------------------------------------------------

TEXT_WORDS = 10
CODE_TOKENS = 40


class _Overlap:
    """Answers whether a token sequence shares a run of `size` tokens with any of the given ones.

    A sequence shorter than that counts when it is the whole of a given one.
    """

    def __init__(self, sequences: Iterable[Sequence[str]], size: int, shortest: int) -> None:
        self.size = size
        self.half = size // 2
        # Hashes instead of the runs themselves: a tenth of the memory, and with 64 bits no two of
        # a few million runs meet by chance.
        self.runs: set[int] = set()
        self.halves: set[int] = set()
        self.whole: set[int] = set()
        for tokens in sequences:
            if shortest <= len(tokens) < size:
                self.whole.add(hash(tuple(tokens)))
            for at in range(len(tokens) - size + 1):
                self.runs.add(hash(tuple(tokens[at : at + size])))
            if len(tokens) >= size:
                for at in range(len(tokens) - self.half + 1):
                    self.halves.add(hash(tuple(tokens[at : at + self.half])))

    def __call__(self, tokens: Sequence[str]) -> bool:
        if len(tokens) < self.size:
            return hash(tuple(tokens)) in self.whole
        # Every run of `size` tokens contains an aligned block of half that size, so a look at
        # the aligned blocks alone settles nearly every row.
        half, size = self.half, self.size
        for at in range(0, len(tokens) - half + 1, half):
            if hash(tuple(tokens[at : at + half])) in self.halves:
                near = range(max(0, at - size + half), min(at, len(tokens) - size) + 1)
                if any(hash(tuple(tokens[start : start + size])) in self.runs for start in near):
                    return True
        return False


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _code_tokens(code: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", code)


def decontaminate(
    rows: Iterable[Row], benchmark_texts: Sequence[str]
) -> tuple[list[Row], list[Drop]]:
    """Drop rows that share 10 words of text or 40 tokens of code with a benchmark.

    `benchmark_texts` are prompts and solutions alike; each is looked for as text and as code.
    """
    rows = list(rows)
    if not benchmark_texts:
        return rows, []
    texts = set(benchmark_texts)  # one prompt often comes in several languages
    shares_text = _Overlap(map(_words, texts), TEXT_WORDS, shortest=4)
    shares_code = _Overlap(map(_code_tokens, texts), CODE_TOKENS, shortest=12)
    kept: list[Row] = []
    dropped: list[Drop] = []
    for row in rows:
        if shares_text(_words(row.text)):
            detail = f"{TEXT_WORDS} words of text"
        elif shares_code(_code_tokens(row.code)):
            detail = f"{CODE_TOKENS} tokens of code"
        else:
            kept.append(row)
            continue
        dropped.append(
            Drop("in a benchmark", row.id, row.source, language=row.language, detail=detail)
        )
    return kept, dropped
