import numpy as np
import pytest

from codemoe.evaluate.codebleu.compat.subtrees import package_subtrees
from codemoe.evaluate.codebleu.parsing import parse
from codemoe.evaluate.codebleu.shapes import mixed, subtree_hashes
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.syntax import subtree_shapes, subtree_shapes_of
from codemoe.evaluate.codebleu.tree import without_comments
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS


def hashes(kinds: list[int], behind: list[int]) -> list[int]:
    """Of every node of one tree."""
    codes = np.array([mixed(kind) for kind in kinds], np.uint64)
    nodes = np.arange(len(kinds))
    return subtree_hashes(nodes, codes.copy(), nodes, np.array(behind), codes).tolist()


def test_equal_subtrees_have_equal_hashes_wherever_they_stand() -> None:
    # 1(2(3) 2(3) 3)
    whole, first, leaf, second, other_leaf, last = hashes([1, 2, 3, 2, 3, 3], [6, 3, 3, 5, 5, 6])
    assert first == second
    assert leaf == other_leaf == last
    assert len({whole, first, leaf}) == 3


def test_the_same_nodes_nested_otherwise_are_another_tree() -> None:
    chain = hashes([1, 2, 3], [3, 3, 3])
    siblings = hashes([1, 2, 3], [3, 2, 3])
    swapped = hashes([1, 3, 2], [3, 2, 3])
    assert len({chain[0], siblings[0], swapped[0]}) == 3


def test_a_top_that_is_no_node_is_no_part_of_what_it_stands_in() -> None:
    codes = np.array([mixed(1), mixed(3)], np.uint64)
    keys, tops, ends = np.array([0, 2]), np.array([0, 1]), np.array([3, 3])
    own = np.array([mixed(1), mixed(2)], np.uint64)
    outer, inner = subtree_hashes(keys, codes, tops, ends, own).tolist()
    assert outer == hashes([1, 3], [2, 2])[0]
    assert inner == hashes([2, 3], [2, 2])[0]


@pytest.mark.parametrize("read", [subtree_shapes_of, package_subtrees])
def test_trees_read_together_are_like_trees_read_alone(read) -> None:  # type: ignore[no-untyped-def]
    trees = []
    for language in LANGUAGES:
        code = source_text(PROGRAMS[language], language)
        for text in (code, code[: len(code) // 2], ""):
            trees.append(without_comments(parse(text, language)))
    assert read(trees) == [read([tree])[0] for tree in trees]
    assert sum(len(counter) > 3 for counter in read(trees)) > len(LANGUAGES)


def test_what_a_string_says_does_not_count_but_code_in_it_does() -> None:
    plain, escaped, other, formatted, code = [
        subtree_shapes(parse(code, "python"))
        for code in ('f("a")', r'f("a\n\t")', "f('')", 'f(f"a{y + 1}")', "{y + 1}")
    ]
    assert plain == other
    assert plain <= escaped  # the escapes are a subtree of their own, and no part of others
    assert not plain <= formatted
    assert len(code & formatted) == 1  # y + 1
