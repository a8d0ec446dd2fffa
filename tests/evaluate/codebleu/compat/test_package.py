"""The package's arithmetic, against values recorded from it, and each of its known faults.

golden.json was recorded from codebleu 0.7.0 in its own virtual environment, on the grammars that it
pins, with benchmarks/codebleu_peer.py and twelve values of PYTHONHASHSEED; `dataflow_match` lists
the different results of those. The others: scripts/compat_golden.py.
"""

import json
from pathlib import Path

import pytest

from codemoe.evaluate.codebleu import CodeBleu, score_corpus, score_pair
from codemoe.evaluate.codebleu.compat import (
    PACKAGE_LANGUAGES,
    compat_score,
    count_pair,
    read_compat,
    read_compats,
)
from codemoe.evaluate.codebleu.compat.keywords import KEYWORDS
from codemoe.evaluate.codebleu.compat.line_ends import with_line_ends
from codemoe.evaluate.codebleu.compat.subtrees import package_subtrees
from codemoe.evaluate.codebleu.parsing import parse
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS


def recorded(name: str) -> list[dict]:
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


GOLDEN, CHANGED, BROKEN = map(
    recorded, ("golden.json", "golden_changed.json", "golden_broken.json")
)
SHARED = Path(__file__).parents[4].parent / "shared" / "data"
PARTS = ("ngram_match", "weighted_ngram_match", "syntax_match")


def compat(reference: str, prediction: str, language: str) -> CodeBleu:
    pair = read_compat(reference, language), read_compat(prediction, language)
    return compat_score(count_pair(*pair))


def test_the_golden_pairs_are_of_every_language_of_the_package() -> None:
    assert {row["language"] for row in GOLDEN} == PACKAGE_LANGUAGES
    assert set(LANGUAGES) - PACKAGE_LANGUAGES == {"typescript"}


@pytest.mark.parametrize("row", GOLDEN + CHANGED, ids=lambda row: row["language"])
def test_parity(row: dict) -> None:
    check(row, compat(row["reference"], row["prediction"], row["language"]))


@pytest.mark.parametrize("row", BROKEN, ids=lambda row: row["language"])
def test_parity_on_broken_code_where_the_package_has_the_same_parser(row: dict) -> None:
    check(row, on_todays_trees(row))


def test_trees_as_pinned_are_other_ones() -> None:
    # The wrong twin: without the old trees of sound code parity with the pinned package is lost.
    lost = [row for row in CHANGED if on_todays_trees(row).syntax_match != row["syntax_match"]]
    assert {row["language"] for row in lost} == {row["language"] for row in CHANGED}


def on_todays_trees(row: dict) -> CodeBleu:
    texts = [(row[key], row["language"]) for key in ("reference", "prediction")]
    return compat_score(count_pair(*read_compats(texts, as_pinned=False)))


def check(row: dict, score: CodeBleu) -> None:
    for part in PARTS:
        assert getattr(score, part) == pytest.approx(row[part], abs=1e-9), part
    flows = row["dataflow_match"]
    assert score.dataflow_match is not None
    if len(flows) == 1:
        assert score.dataflow_match == pytest.approx(flows[0], abs=1e-9)
    else:
        assert min(flows) - 1e-9 <= score.dataflow_match <= max(flows) + 1e-9


def test_the_corrected_score_is_another_one() -> None:
    # The wrong twin: were both modes one, parity would say nothing.
    differ = {part: 0 for part in (*PARTS, "dataflow_match")}
    for row in GOLDEN:
        ours = score_pair(row["reference"], row["prediction"], row["language"])
        for part in PARTS:
            differ[part] += abs(getattr(ours, part) - row[part]) > 1e-6
        differ["dataflow_match"] += ours.dataflow_match not in row["dataflow_match"]
    assert all(count > len(GOLDEN) / 3 for count in differ.values()), differ


@pytest.mark.parametrize("language", sorted(PACKAGE_LANGUAGES))
def test_an_empty_answer_scores_a_quarter(language: str) -> None:
    score = compat(PROGRAMS[language], "", language)
    assert score == CodeBleu(0.25, 0.0, 0.0, 0.0, 0.0)
    assert score_pair(PROGRAMS[language], "", language).codebleu == 0.0
    pair = read_compat(PROGRAMS[language], language), read_compat("", language)
    assert compat_score(count_pair(*pair), mended=True).codebleu == 0.0


def test_white_space_makes_tokens() -> None:
    spaced, unspaced = "x = a + b\ny = x * 2\n", "x=a+b\ny=x*2\n"
    assert compat(spaced, unspaced, "python").ngram_match == 0.0
    assert score_pair(spaced, unspaced, "python").ngram_match == pytest.approx(1.0)


def test_the_weighted_part_takes_every_reference_for_two_tokens_long() -> None:
    reference = "a b c d e f g h"
    short = compat(reference, "a b c", "python")
    full = compat(reference, "a b c x y z u v", "python")
    # The same n-grams of the reference are found: brevity costs the one nothing, the other neither.
    assert short.weighted_ngram_match == pytest.approx(full.weighted_ngram_match)
    assert short.ngram_match < 0.5


def test_keyword_lists_are_the_packages() -> None:
    assert "True" in KEYWORDS["javascript"]
    assert "true" not in KEYWORDS["javascript"]
    assert not {"async", "of"} & KEYWORDS["javascript"]
    assert "cout" in KEYWORDS["cpp"]
    assert "nullptr" not in KEYWORDS["cpp"]


@pytest.mark.parametrize(
    ("language", "code", "count"),
    [
        ("python", "if a not in b and c is not d:\n    pass\n", 7),
        ("php", "<?php new \\A\\B(); new \\C();\nf(); ?>", 16),
        (
            "go",
            "package p\nfunc f() {\n\ta.b[c.d[i]]++\n\ta[b.c[i]] = a[i][j]\n"
            "\tx.y[i][j] = a[b]\n}\n",
            33,
        ),
        ("go", 'package p\nvar s = `raw`\nvar t = "x"\n', 9),
    ],
    ids=["not in", "absolute names", "index of a field", "raw strings"],
)
def test_trees_have_as_many_nodes_as_on_the_packages_grammars(
    language: str, code: str, count: int
) -> None:
    # Counted by the package's own walk, on the grammars that it pins.
    (subtrees,) = package_subtrees([parse(code, language)])
    assert subtrees.total() == count


def test_a_field_that_is_indexed_twice_is_a_qualified_type() -> None:
    # ... as the package reads it, and so it matches a real one.
    index = "package p\nfunc f() {\n\ta.b[i][j]++\n}\n"
    of_type = "package p\nvar x c.d\n"
    shared = read_compat(index, "go").subtrees & read_compat(of_type, "go").subtrees
    assert shared.total() == 2  # with `package p`


def test_one_subtree_matches_any_number() -> None:
    reference = "a = 1\nb = 2\nc = 3\nd = 4"
    # All but the module itself is found in one statement.
    assert compat(reference, "a = 1", "python").syntax_match == pytest.approx(8 / 9)
    assert score_pair(reference, "a = 1", "python").syntax_match == pytest.approx(2 / 9)


def test_cpp_is_read_as_csharp() -> None:
    # A C++ declaration is no definition there: a copy gives the same flow as a sum.
    code = "int f(int a, int b) { int c = a; return c; }"
    other = code.replace("int c = a", "int c = a * a")
    assert compat(code, other, "cpp").dataflow_match == 1.0
    assert score_pair(code, other, "cpp").dataflow_match < 1.0  # type: ignore[operator]


GO = """package p
import (
\t"a"
)
type S struct {
\tx, y int

\tz int
}
func f() { a(); b() }
func g(é int) int {
\tvar add func(int)
\tadd = func(value int) {
\t\ttotal = total + value

\t\tcount := value
\t}
\tswitch é {
\tcase 1:
\t\tadd(1)
\tdefault:
\t\tadd(2); add(3)
\t}
\treturn é
end:
}
"""


def test_line_ends_are_tokens_of_go() -> None:
    # Where the pinned grammar has them, and the edges that the package counts with them.
    tree = with_line_ends(parse(GO.strip(), "go"))
    starts = [s for s, kind in zip(tree.starts, tree.leaf_kinds, strict=True) if kind == 0]
    assert starts == [9, 23, 25, 51, 59, 61, 83, 123, 172, 190, 193, 224, 251, 254, 265]
    assert read_compat(GO, "go").flow.total() == 15  # 13 without
    for code, language in (("package p", "go"), ("a\nb", "python")):
        tree = parse(code, language)
        assert with_line_ends(tree) is tree


def test_python_documentation_goes_and_broken_python_keeps_its_comments() -> None:
    code = 'def f():\n    """Say it."""\n    return 1  # one\n'
    assert compat(code, "def f():\n    return 1\n", "python").syntax_match == 1.0
    # The standard tokenizer fails on a bracket that never closes, and then nothing is removed.
    broken = 'def f():\n    """Say it."""\n    return (1  # one\n'
    kept = read_compat(broken, "python").subtrees
    assert [kept] == package_subtrees([parse(broken.strip(), "python")])


def test_text_behind_a_wide_character_is_shifted() -> None:
    # Columns of bytes are used as columns of characters: names behind an `é` are cut wrongly.
    plain, wide = 'f("e"); a += b; c += a;', 'f("é"); a += b; c += a;'
    assert compat(plain, plain, "javascript").dataflow_match == 1.0
    shifted = read_compat(wide, "javascript").flow
    assert shifted != read_compat(plain, "javascript").flow


def test_trees_deeper_than_the_packages_recursion_have_no_flow() -> None:
    code = "a = 1\nb = " + "(" * 2000 + "a" + ")" * 2000 + "\n"
    assert not read_compat(code, "python").flow
    shallow = "a = 1\nb = " + "(" * 20 + "a" + ")" * 20 + "\n"
    assert read_compat(shallow, "python").flow


@pytest.mark.parametrize(
    "code",
    [
        "void f() { " + "a = b = " * 400 + "1; }",
        "void f() { " + "while (a < b) { if (a) { a = b; " * 150 + "}} " * 150 + "}",
        "void f() { " + "for (int i = 0; i < n; i++) { " * 300 + "}" * 300 + "}",
    ],
    ids=["assignments", "loops", "for"],
)
def test_deep_trees_that_the_package_reads_are_read(code: str) -> None:
    assert read_compat(code, "java").flow
    assert score_pair(code, code, "java").codebleu == pytest.approx(1.0)


@pytest.mark.parametrize("depth", [3, 40])
def test_nested_loops_are_not_read_two_to_the_depth_times(depth: int) -> None:
    head = "".join(f"while (a{i} < n) {{ a{i} = a{i} + 1; " for i in range(depth))
    code = f"void f(int n) {{ {head} {'}' * depth} }}"
    assert read_compat(code, "java").flow.total() > 2 * depth


def test_pooled_is_not_the_mean() -> None:
    references = [PROGRAMS["java"], "int a = 1 ;"]
    score = score_corpus(references, [references[0], ""], "java", mode="compat")
    assert score.codebleu == pytest.approx((1.0 + 0.25) / 2, abs=1e-6)
    assert score.pooled.codebleu > score.codebleu


def test_wrong_mode_for_a_language() -> None:
    from codemoe.errors import UserError

    with pytest.raises(UserError, match="no TypeScript"):
        score_corpus(["a"], ["a"], "ts", mode="compat")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared/data here")
@pytest.mark.parametrize(
    ("predictions", "references", "language", "printed"),
    [
        ("java_finetuned", "java_references", "java", 0.4287),
        ("python_finetuned", "python_references", "python", 0.4000),
        ("mixed_base", "mixed_base_references", "expert", 0.1660),
    ],
)
def test_the_papers_figures(
    predictions: str, references: str, language: str, printed: float
) -> None:
    from codemoe.evaluate.audit.rows import find_layout, read_pairs

    folder = SHARED / "reference_outputs"
    layout = find_layout(
        folder / f"{predictions}_predictions.jsonl",
        folder / f"{references}.jsonl",
        None,
        None,
        language,
    )
    pairs = list(read_pairs(layout))
    score = score_corpus(
        [pair.reference for pair in pairs],
        [pair.prediction for pair in pairs],
        [pair.language for pair in pairs],
        mode="compat",
    )
    assert score.codebleu == pytest.approx(printed, abs=0.002)


TABS = "def f(a):\n\tif a:\n\t\tb = a\n\t\treturn b\n\treturn a"


@pytest.mark.parametrize(
    ("language", "reference", "prediction", "syntax_match"),
    [
        # Of a block's lines the package rebuilds only the first with its tabs.
        ("python", TABS, TABS.replace("\t", "    "), 1 / 2),
        # What recovering from an error costs depends on the lines: blank ones go before.
        (
            "java",
            "class Main { static int total( low) { int result = 0;\n\n"
            "for (int x : xs) { if (x > low) { result += x; it */ } }\n\nreturn",
            PROGRAMS["java"],
            5 / 9,
        ),
        (
            "csharp",
            "class Main { static int Total(int[] xs, int low) { inlt = 0;\n\n"
            "foreach (int x in xs) { if (x  += x; /}\n\nreturn result; } }",
            PROGRAMS["csharp"],
            3 / 7,
        ),
    ],
)
def test_white_space_that_the_package_changes(
    language: str, reference: str, prediction: str, syntax_match: float
) -> None:
    """The numbers are the package's, on today's parser."""
    row = {"reference": reference, "prediction": prediction, "language": language}
    assert on_todays_trees(row).syntax_match == pytest.approx(syntax_match, abs=1e-9)
