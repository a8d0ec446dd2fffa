"""pytest tests/evaluate/test_degenerate.py: loops are found, repetitive code is none."""

from codemoe.evaluate.degenerate import ends_in_loop, is_degenerate


def test_loops() -> None:
    assert is_degenerate("def f(x):\n" + "    return x\n" * 30)
    assert is_degenerate(
        "int f() {\n" + "    if (a[i] > b[i]) { total += 1; }\n" * 6 + "    if (a["
    )
    assert is_degenerate("1, 2, 3, " * 40)
    assert is_degenerate("ok = 1\n" * 3 + "x " * 300)


def test_code_is_no_loop() -> None:
    assert not is_degenerate("")
    assert not is_degenerate("return x\n" * 3)  # 6 tokens
    assert not is_degenerate(
        "def f(a, b, c):\n    total = 0\n    if a > 0:\n        total += a\n    if b > 0:\n"
        "        total += b\n    if c > 0:\n        total += c\n    return total\n"
    )
    # A table of data in the middle of a program, and a short one at its end.
    table = "x = [" + "0, " * 30 + "]\n"
    assert not is_degenerate(
        table + "\n".join(f"def f{i}(x):\n    return x + {i}" for i in range(40))
    )
    assert not is_degenerate(
        "\n".join(f"def f{i}(x):\n    return x + {i}" for i in range(20)) + table
    )


def test_the_last_time_may_be_cut_off_but_it_must_be_the_end() -> None:
    unit = ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert ends_in_loop(unit * 4)
    assert ends_in_loop(unit * 4 + unit[:5])
    assert not ends_in_loop([*unit * 4, "end"])
    assert not ends_in_loop(unit * 2)


def test_long_answers_take_linear_time() -> None:
    assert not ends_in_loop([str(i) for i in range(200_000)])
    assert ends_in_loop(["a"] * 200_000)
