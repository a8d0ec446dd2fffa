from itertools import pairwise
from random import Random
from typing import Any

import pytest

from codemoe.data.filters import error_fraction
from codemoe.evaluate.codebleu import parsing as parsing_module
from codemoe.evaluate.codebleu import score_pair
from codemoe.evaluate.codebleu.grammar import grammar_of
from codemoe.evaluate.codebleu.parsing import (
    BLOCK_BYTES,
    PART_BYTES,
    _parts,
    count_unreadable,
    parse,
)
from codemoe.evaluate.codebleu.source import has_xlcost_marks, source_text
from codemoe.evaluate.codebleu.tokens import tokens_of
from codemoe.evaluate.codebleu.tree import unreadable_bytes, without_comments
from codemoe.languages import LANGUAGES, MAX_CHECKS, get_parser, parse_in_steps
from tests.evaluate.codebleu.programs import PROGRAMS

RELEASED = (
    "def f ( a ) : NEW_LINE INDENT if a : NEW_LINE INDENT return a NEW_LINE DEDENT "
    "print ( ' x \u2581 y ' ) NEW_LINE return 0 NEW_LINE DEDENT print ( f ( 1 ) ) NEW_LINE"
)
LAID_OUT = (
    "def f ( a ) : \n    if a : \n        return a \n    print ( ' x   y ' ) \n    return 0 \n"
    "print ( f ( 1 ) ) \n"
)


def test_xlcost_marks_become_layout() -> None:
    assert source_text(RELEASED, "python").split() == LAID_OUT.split()
    assert unreadable_bytes(parse(source_text(RELEASED, "python"), "python")) == 0
    assert unreadable_bytes(parse(RELEASED, "python")) > 0
    assert has_xlcost_marks(RELEASED)
    assert not has_xlcost_marks(LAID_OUT)


def test_released_and_laid_out_code_score_the_same() -> None:
    score = score_pair(RELEASED, LAID_OUT, "python")
    assert score.syntax_match == score.dataflow_match == 1.0
    assert score.ngram_match > 0.9


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_real_code_stays_as_it_is(language: str) -> None:
    code = "<?php " + PROGRAMS["php"] if language == "php" else PROGRAMS[language]
    assert source_text(code, language) == code.rstrip()


def test_php_needs_no_tag() -> None:
    tagged = score_pair("<?php " + PROGRAMS["php"], PROGRAMS["php"], "php")
    assert tagged.codebleu == pytest.approx(1.0)
    assert score_pair(PROGRAMS["php"], "", "php").codebleu == 0.0


@pytest.mark.parametrize(
    ("language", "text", "is_whole"),
    [
        ("java", "class A { int f() { return 1; } }\n" * 1000, True),
        ("java", "for i in x:\n    a[i] = b\n" * 1500, False),
        ("java", "x = a<a<" + "a<" * 3000, False),  # every reading of it would be tried
        ("java", "1 2 3", True),
        ("java", "class A { int f() { return 1; } }\n" * 500 + "a=>" * 3000, False),
        ("javascript", "lambda x:" * 2000, False),  # reads well, in far too many steps
        ("python", "x = [" + "1, " * 200_000 + "]", False),
    ],
)
def test_long_text_that_reads_badly_is_parsed_in_blocks(
    language: str, text: str, is_whole: bool
) -> None:
    source = text.encode()
    starts = [start for start, _ in _parts(source, grammar_of(language))]
    assert (starts == [0]) == is_whole
    if not is_whole:
        assert len(source) > PART_BYTES
        ends = [*starts[1:], len(source)]
        assert max(end - start for start, end in zip(starts, ends, strict=True)) <= BLOCK_BYTES


def test_blocks_that_come_again_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def parsing(parser: Any, source: bytes) -> Any:
        seen.append(source)
        return parse_in_steps(parser, source)

    monkeypatch.setattr(parsing_module, "parse_in_steps", parsing)
    source = b"a=>" * 40_000
    parts = _parts(source, grammar_of("go"))
    assert len(parts) > 200
    assert len(seen) < 50
    for (start, tree), (end, _) in list(pairwise(parts))[::50]:
        alone, _ = parse_in_steps(get_parser("go"), source[start:end])
        assert alone is not None
        assert str(tree.root_node) == str(alone.root_node)


def noise() -> str:
    """4 kB of signs that the TypeScript grammar comes to no end on."""
    signs = Random(0)
    drawn = [signs.choice("abc(){}[];=<>+-*/\"'\n ") for _ in range(18 * PART_BYTES)]
    return "".join(drawn)[-PART_BYTES:]


@pytest.mark.timeout(60)
def test_noise_is_given_up_after_so_many_steps() -> None:
    source = noise().encode()
    parsed, checks = parse_in_steps(get_parser("typescript"), source)
    assert parsed is None
    assert checks == MAX_CHECKS * (PART_BYTES // 1024 + 1) + 1
    assert error_fraction(noise(), "typescript") == 1.0
    parts = _parts(source, grammar_of("typescript"))
    assert len(parts) > 1
    assert sum(tree.root_node.end_byte - tree.root_node.start_byte for _, tree in parts) > 3_000
    assert count_unreadable(noise(), "typescript") > 500
    # The parser is as good as new.
    assert error_fraction("const a: number = 1;\n", "typescript") == 0


def test_an_interrupt_leaves_no_text_behind() -> None:
    class Interrupted:
        """A parser with Ctrl-C at its first check."""

        def __init__(self) -> None:
            self.parser = get_parser("python")
            self.reset = self.parser.reset

        def parse(self, read: object, progress_callback: object) -> object:
            def check(*_: object) -> bool:
                raise KeyboardInterrupt

            return self.parser.parse(read, progress_callback=check)

    with pytest.raises(KeyboardInterrupt):
        parse_in_steps(Interrupted(), b"a = 1\n" * 600)  # type: ignore[arg-type]
    parsed, _ = parse_in_steps(get_parser("python"), b"a=1")
    assert parsed is not None
    assert parsed.root_node.child_count == 1


def test_no_byte_is_lost_between_blocks() -> None:
    text = "for i in x:\n    a[i] = b\n" * 1500
    whole = parse(text, "java")
    assert "".join(tokens_of(without_comments(whole), whole)) == "".join(text.split())
    assert whole.after[0] == len(whole.kinds)


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_the_lists_of_a_tree_fit_together(language: str) -> None:
    tree = parse(source_text(PROGRAMS[language], language), language)
    size = len(tree.kinds)
    assert tree.after[0] == size
    for lists in (tree.fields, tree.after, tree.parents, tree.codes):
        assert len(lists) == size
    for lists in (tree.starts, tree.ends, tree.leaf_kinds):
        assert len(lists) == len(tree.leaves)
    for node in range(1, size):
        parent = tree.parents[node]
        assert parent < node < tree.after[node] <= tree.after[parent]
    assert tree.leaves == [node for node in range(size) if tree.after[node] == node + 1]
    assert tree.inner == [node for node in range(size) if tree.after[node] > node + 1]
    assert tree.leaf_kinds == [tree.kinds[leaf] for leaf in tree.leaves]
    for node in range(size + 1):
        assert tree.leaf_at[node] == sum(leaf < node for leaf in tree.leaves)
    assert tree.ends == sorted(tree.ends)


def test_a_tree_without_comments() -> None:
    tree = parse("int a; // one\n/* two */ int b;", "java")
    bare = without_comments(tree)
    same = parse("int a; int b;", "java")
    assert (bare.kinds, bare.after, bare.parents) == (same.kinds, same.after, same.parents)
    assert without_comments(same) is same
