import json
from collections import Counter
from pathlib import Path

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.wrong_language import CANDIDATES, is_wrong_language, language_of
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS

FOUR = ("python", "java", "javascript", "cpp")
DEV = Path(__file__).parents[3] / "shared" / "data" / "dev"


@pytest.mark.parametrize("language", FOUR)
def test_small_programs(language: str) -> None:
    code = PROGRAMS[language]
    assert language_of(code, FOUR) == language
    one_line = " ".join(code.split()) if language != "python" else code
    assert language_of(one_line, FOUR) == language
    assert [asked for asked in FOUR if not is_wrong_language(code, asked, FOUR)] == [language]


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_small_programs_among_all_languages(language: str) -> None:
    code = PROGRAMS[language]
    assert language_of(code, asked=language) == language
    assert not is_wrong_language(code, language)
    # Neighbours read each other's small programs; nobody else may.
    near = {
        "java": {"csharp"},
        "csharp": {"java"},
        "c": {"cpp", "java", "csharp"},
        "cpp": {"c"},
        "javascript": {"typescript", "php"},
        "typescript": {"javascript"},
    }
    for asked in set(LANGUAGES) - {language} - near.get(language, set()):
        assert is_wrong_language(code, asked), asked


def test_a_language_contains_another() -> None:
    assert not is_wrong_language("function f(a) { return a + 1; }", "typescript")
    assert not is_wrong_language('#include <stdio.h>\nint main() { printf("a"); }', "c++")
    assert is_wrong_language("class A { std::vector<int> v; public: A() {} };", "c")


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("function f(a) { return a + 1; }", "javascript"),
        ("const f = (a) => a + 1;", "javascript"),
        ("class Solution {\n  twoSum(nums, target) {\n    return [0, 1];\n  }\n}", "javascript"),
        ("static int f(int[] a) { return a[0]; }", "java"),
        ("public int degree() { return c.length; }", "java"),
        ("static boolean f(String s) { return s.isEmpty(); }", "java"),
        ("int f(vector<int>& a) { return a.size(); }", "cpp"),
        ("bool f(const string &s) { return s.empty(); }", "cpp"),
        ("#include <iostream>\nint main() { return 0; }", "cpp"),
        ("def f(a): return a + 1", "python"),
        ("for i in range(3):\n    print(i)", "python"),
    ],
)
def test_short_code(code: str, language: str) -> None:
    assert language_of(code, FOUR) == language


@pytest.mark.parametrize(
    "code",
    [
        "",
        "  \n",
        "1 2 3 2 3 1 1 1 2 2 3 1 1 2 3",
        "x = 1;",
        "int f(int a) { return a; }",  # Java and C++ alike
        "This function returns the sum of the two numbers it is given.",
        "((((((((((",
        "def",
        "\x00\x01",
        "// int f(int[] a)",
    ],
)
def test_unsure(code: str) -> None:
    assert language_of(code, FOUR) is None
    # It could be what was asked for; that it is no Python may be seen.
    assert not any(is_wrong_language(code, asked, FOUR) for asked in ("java", "cpp"))


@pytest.mark.parametrize("language", FOUR)
def test_answers_cut_off_at_a_token_limit(language: str) -> None:
    code = PROGRAMS[language]
    cut = code[: int(len(code) * 0.8)]
    assert language_of(cut, FOUR) == language


def test_answers_with_junk_behind() -> None:
    assert language_of(PROGRAMS["java"] + " 1 2 1 3 3 3 1 2 1", FOUR) == "java"


def test_names_and_candidates() -> None:
    assert language_of(PROGRAMS["cpp"], ["C++", "py"]) == "cpp"
    assert is_wrong_language(PROGRAMS["cpp"], "js")
    assert not is_wrong_language(PROGRAMS["cpp"], "C++")
    with pytest.raises(UserError, match="klingon"):
        is_wrong_language("x", "klingon")


@pytest.mark.skipif(not DEV.is_dir(), reason="no shared/data/dev here")
def test_real_code() -> None:
    found: Counter[tuple[str, str | None]] = Counter()
    for language in FOUR:
        lines = (DEV / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")
        for line in lines[:120]:
            found[language, language_of(json.loads(line)["code"], FOUR)] += 1
    right = sum(n for (asked, answer), n in found.items() if asked == answer)
    unsure = sum(n for (_, answer), n in found.items() if answer is None)
    decided = found.total() - unsure
    assert right / decided >= 0.99
    assert found["java", "javascript"] == found["javascript", "java"] == 0
    assert unsure / found.total() < 0.03  # fields without a type, one-line methods: either language


@pytest.mark.skipif(not DEV.is_dir(), reason="no shared/data/dev here")
def test_real_code_is_not_wrong_and_other_code_is() -> None:
    names = sorted(path.stem for path in DEV.glob("*.jsonl"))
    assert set(names) > set(FOUR)
    wrong: Counter[bool] = Counter()
    seen: Counter[bool] = Counter()
    for place, language in enumerate(names):
        lines = (DEV / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")
        other = names[(place + 3) % len(names)]
        for line in lines[:60]:
            code = json.loads(line)["code"]
            wrong[is_wrong_language(code, language, CANDIDATES)] += 1
            seen[is_wrong_language(code, other)] += 1
    assert wrong[True] / wrong.total() < 0.01
    assert seen[True] / seen.total() > 0.85


def test_what_two_grammars_read_is_not_another_languages_by_a_word_they_share() -> None:
    """C# reads `function f(values)` as a method, and has a Math too."""
    code = (
        "function takeByTens(values, k) {\n    return [...values].sort((a, b) => "
        "Math.floor(a / 10) - Math.floor(b / 10) || b - a).slice(0, k);\n}"
    )
    assert not is_wrong_language(code, "javascript")


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        (
            "// Its name.\n// It is set once and read in many places.\npublic string Name { get; }",
            "c#",
        ),
        ("/* One of those who may log in. */ interface User { name: string; }", "typescript"),
        ('{\n    println!("{}", x);\n    println!("{}", y);\n}', "rust"),
    ],
)
def test_words_of_several_languages_accuse_nobody(code: str, asked: str) -> None:
    assert not is_wrong_language(code, asked)
