"""pytest tests/evaluate/suites/test_braces.py: where a block ends."""

import pytest

from codemoe.evaluate.suites.braces import blank_texts, count_open, find_closer


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("cpp", 'if (x) { y(); } char c = \'}\'; // }\n /* } */ s = "\\"}"; @'),
        ("cpp", 'auto s = R"x(})x"; int n = 1\'000; @'),
        ("java", 'String s = """\n } "quoted" """; char c = \'\\u007d\'; @'),
        ("javascript", "const s = '}' + `${ {a: 1}.a }}` + \"}\"; @"),
        ("go", "s := `}\\`; r := '}' @"),
        ("rust", "fn f<'a>(x: &'a str) { let c = '}'; } let s = r#\"}\"}\"#; @"),
        ("php", "# }\n $s = '}\\'}'; @"),
        ("csharp", 'if (a) { b(); } var s = "}"; @'),
    ],
)
def test_braces_in_texts_and_comments_do_not_count(language: str, code: str) -> None:
    expected = code.index("@")
    assert find_closer(code.replace("@", "}") + " } }", language) == expected
    assert find_closer(code, language) is None


def test_texts_are_blanked_in_their_places() -> None:
    code = 'f(); // f()\n/* g\n h */ s = "f(" + x; {'
    plain = blank_texts(code, "java")
    assert plain == "f();       \n    \n      s =      + x; {"
    assert len(plain) == len(code)


def test_levels() -> None:
    code = "  return 1;\n  }\n}\n"
    assert find_closer(code, "java") == code.index("}")
    assert find_closer(code, "java", levels=2) == code.rindex("}")
    assert find_closer(code, "java", levels=3) is None


def test_open_blocks() -> None:
    assert count_open("class A {\n  // {\n  int f() {\n", "java") == 2
    assert count_open("int g() { return 1; }\nint f() {\n", "cpp") == 1
    assert count_open("} } {", "cpp") == 1
    assert count_open("", "cpp") == 0
