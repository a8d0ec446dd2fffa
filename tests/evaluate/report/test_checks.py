from typing import Any

import pytest

from codemoe.errors import UserError
from codemoe.eval_config import Thresholds
from codemoe.evaluate.report import causes, check_thresholds, checks
from codemoe.evaluate.report.page import _CHECK_LABELS


def _scores(codebleu: float, wrong_language: float = 0.0) -> dict[str, Any]:
    return {
        "codebleu": codebleu,
        "pass_at_1": None,
        "exact": 0.5,
        "wrong_language": wrong_language,
    }


def _summary(**changes: Any) -> dict[str, Any]:
    """Two languages, a mixture as good as its experts."""
    models = {
        "base": {"java": _scores(0.3), "javascript": _scores(0.3), "all": _scores(0.3)},
        "expert": {"java": _scores(0.9), "javascript": _scores(0.8), "all": _scores(0.85)},
        "moe-sequence": {"java": _scores(0.9), "javascript": _scores(0.8), "all": _scores(0.85)},
    }
    return {
        "models": models,
        "retention": {"java": 1.0, "javascript": 1.0, "all": 1.0},
        "routing": {
            "accuracy": 1.0,
            "confusion": {
                "java": {"java": 50, "javascript": 0},
                "javascript": {"java": 0, "javascript": 50},
            },
        },
        **changes,
    }


def test_one_check_per_language_and_threshold() -> None:
    limits = {
        "retention": 0.98,
        "routing_accuracy": 0.995,
        "wrong_language": 0.0,
        "base_ratio": 2.0,
    }
    found = check_thresholds(_summary(), limits)
    assert all(check.passed and check.cause == "" for check in found)
    assert [(c.name, c.language) for c in found] == [
        ("retention", "java"),
        ("retention", "javascript"),
        ("routing_accuracy", None),
        ("base_ratio", "java"),
        ("base_ratio", "javascript"),
        ("wrong_language", "java"),
        ("wrong_language", "javascript"),
    ]
    assert found[3].found == pytest.approx(3.0)


def test_none_leaves_a_check_out_and_a_value_met_exactly_passes() -> None:
    (java, javascript) = check_thresholds(
        _summary(), {"retention": None, "base_ratio": 0.8 / 0.3, "wrong_language": None}
    )
    assert javascript.found == pytest.approx(javascript.required)
    assert javascript.passed
    assert java.passed
    assert check_thresholds(_summary(), {}) == []


def test_a_router_at_fault_is_named_with_its_commonest_error() -> None:
    summary = _summary(retention={"java": 0.7, "javascript": 1.0, "all": 0.85})
    summary["routing"]["accuracy"] = 0.9
    summary["routing"]["confusion"]["java"] = {"java": 40, "javascript": 10}
    retention, other, routing = check_thresholds(
        summary, {"retention": 0.98, "routing_accuracy": 0.995}
    )
    assert not retention.passed
    assert "10 of 50 Java prompts went to the JavaScript expert" in retention.cause
    assert other.passed
    assert routing.found == 0.9
    assert "Java prompts" in routing.cause


def test_perfect_routing_that_loses_too_clears_the_router() -> None:
    summary = _summary(retention={"java": 0.7, "javascript": 0.7, "all": 0.7})
    summary["models"]["moe-oracle"] = {"java": _scores(0.63), "javascript": _scores(0.56)}
    java, _ = check_thresholds(summary, {"retention": 0.98})
    assert java.cause.startswith("not the router")
    assert "0.630" in java.cause
    assert "0.900" in java.cause


def test_a_weak_expert_is_told_from_a_lossy_mixture() -> None:
    summary = _summary()
    summary["models"]["base"]["java"] = _scores(0.6)
    summary["models"]["base"]["javascript"] = _scores(0.6)
    summary["models"]["moe-sequence"]["javascript"] = _scores(0.5)
    java, javascript = check_thresholds(summary, {"base_ratio": 2.0})
    assert "experts.train.steps" in java.cause
    assert "see retention" in javascript.cause


def test_wrong_language_is_an_upper_limit() -> None:
    summary = _summary()
    summary["models"]["moe-sequence"]["java"] = _scores(0.9, wrong_language=0.1)
    summary["models"]["expert"]["java"] = _scores(0.9, wrong_language=0.1)
    java, javascript = check_thresholds(summary, {"wrong_language": 0.05})
    assert (java.passed, javascript.passed) == (False, True)
    assert "the Java expert itself" in java.cause


@pytest.mark.parametrize("name", ["retention", "routing_accuracy", "wrong_language", "base_ratio"])
def test_what_was_not_measured_has_failed(name: str) -> None:
    summary = _summary(retention={}, routing={"accuracy": None, "confusion": None})
    del summary["models"]["moe-sequence"]
    (check,) = check_thresholds(summary, {name: 0.0})
    assert not check.passed
    assert check.found is None
    assert "moe-sequence not evaluated" in check.cause


def test_a_language_without_expert_is_not_asked_for_retention() -> None:
    summary = _summary(retention={"java": 1.0, "all": 1.0})
    del summary["models"]["expert"]["javascript"]
    assert [c.language for c in check_thresholds(summary, {"retention": 0.98})] == ["java"]
    summary["models"]["moe-sequence"]["javascript"] = _scores(0.3)
    _, javascript = check_thresholds(summary, {"base_ratio": 2.0})
    assert "no expert for this language" in javascript.cause


def test_unknown_threshold() -> None:
    with pytest.raises(UserError, match="unknown threshold pass_rate"):
        check_thresholds(_summary(), {"pass_rate": 0.5})


def test_pass_at_1_is_asked_of_every_language_that_was_tested() -> None:
    summary = _summary()
    for model, rates in {"moe-sequence": (0.5, 0.7), "expert": (0.55, 0.7)}.items():
        for language, rate in zip(("java", "javascript"), rates, strict=True):
            summary["models"][model][language]["pass_at_1"] = rate
    java, javascript = check_thresholds(summary, {"pass_at_1": 0.6})
    assert (java.passed, javascript.passed) == (False, True)
    assert java.cause == "the expert alone passes 55.0%: the mixture loses it"
    for language in ("java", "javascript"):
        summary["models"]["moe-sequence"][language]["pass_at_1"] = None
    (check,) = check_thresholds(summary, {"pass_at_1": 0.6})
    assert not check.passed
    assert "codemoe doctor" in check.cause


def test_every_threshold_of_the_recipe_is_known_labelled_and_explained() -> None:
    names = set(Thresholds.model_fields)
    assert names == {*checks.AT_LEAST, *checks.AT_MOST}
    assert names == set(causes.CAUSES)
    assert names == set(_CHECK_LABELS)


def _with_answers(summary: dict[str, Any], **counts: int) -> dict[str, Any]:
    fine = {"n": 50, "empty": 0, "degenerate": 0, "cut_off": 0}
    return {
        **summary,
        "answers": {"moe-sequence": {"java": {**fine, **counts}}, "expert": {"java": fine}},
    }


def test_looping_answers_are_the_cause_when_routing_is_right() -> None:
    summary = _summary(retention={"java": 0.7, "javascript": 1.0, "all": 0.85})
    summary["models"]["moe-oracle"] = {"java": _scores(0.63), "javascript": _scores(0.8)}
    java, _ = check_thresholds(
        _with_answers(summary, degenerate=20, empty=2, cut_off=19), {"retention": 0.98}
    )
    assert java.kind == "degenerate output"
    assert "of 50 answers 2 empty and 20 loop, of the expert alone 0.0%" in java.cause
    assert "19 reached eval.max_new_tokens" in java.cause
    # Without them, the same scores speak of how the experts are run.
    java, _ = check_thresholds(_with_answers(summary), {"retention": 0.98})
    assert java.kind == "activation"


def test_a_wrong_language_is_the_cause_when_prompts_went_right() -> None:
    summary = _summary(retention={"java": 0.7, "javascript": 1.0, "all": 0.85})
    summary["models"]["moe-sequence"]["java"] = _scores(0.6, wrong_language=0.2)
    java, _ = check_thresholds(summary, {"retention": 0.98})
    assert java.kind == "wrong language"
    assert "20.0% of the answers" in java.cause


def test_a_miss_within_chance_says_so() -> None:
    summary = _summary(retention={"java": 0.97, "javascript": 0.7, "all": 0.9})
    summary["intervals"] = {"retention": {"java": [0.93, 1.01], "javascript": [0.6, 0.8]}}
    java, javascript = check_thresholds(summary, {"retention": 0.98})
    assert not java.passed
    assert "or chance: the 95 % interval reaches to 1.010" in java.cause
    assert "chance" not in javascript.cause


def test_the_table_of_what_fell() -> None:
    summary = _summary(retention={"java": 0.7, "javascript": 1.0, "all": 0.85})
    summary["routing"]["confusion"]["java"] = {"java": 40, "javascript": 10}
    found = check_thresholds(summary, {"retention": 0.98, "wrong_language": 0.0, "pass_at_1": 0.5})
    header, retention, tests = checks.missed_table(found).splitlines()
    assert header.split() == ["threshold", "language", "found", "required", "likely", "cause"]
    assert retention.split()[:6] == ["retention", "java", "0.7000", ">=", "0.9800", "router"]
    assert "10 of 50 Java prompts" in retention
    assert tests.split()[:3] == ["pass_at_1", "all", "nothing"]
    assert header.index("found") == retention.index("0.7000") == tests.index("nothing")
