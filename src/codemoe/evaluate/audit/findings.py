"""What is wrong with a file of predictions, in words. Pure: figures in, sentences out."""

from collections.abc import Mapping
from typing import Any

from codemoe.evaluate.audit.claims import Claim
from codemoe.languages import LANGUAGES

NOTABLE = 0.05  # share of the answers from which an oddity is told
TOLERANCE = 0.005  # of a mean: what hash seeds and versions of grammars do to the package
CLOSE = 0.02  # distance to the floor within which a score is told to be no or hardly better


def count_findings(claim: Claim, rows: int) -> list[str]:
    """About a published table that cannot be of these predictions alone."""
    if claim.n in (1, rows):  # 1: the mean alone
        return []
    return [f"The published table has {claim.n} scores, the predictions {rows} rows."]


def claim_findings(claim: Claim, compat: float | None) -> list[str]:
    """About a published score: free points in it, and whether the predictions give it."""
    found = []
    if claim.in_percent:
        found.append(
            f"The published scores are percentages: {100 * claim.codebleu:.2f} is told as "
            f"{claim.codebleu:.4f} here."
        )
    if claim.free_rows:
        told = f"{claim.free_rows} of its {claim.n} rows"
        if claim.free_rows == claim.n:
            told = f"all of its {claim.n} rows"
        found.append(
            f"The published {claim.codebleu:.4f} is mostly given away: {told} have no data-flow "
            f"match and are credited with a full one (0.25). Their own components are worth "
            f"{claim.worth:.4f}."
            if claim.worth is not None and claim.worth < claim.codebleu / 2
            else f"Free points: {told} have no data-flow match and are credited with a full one "
            f"(0.25). Without them the published {claim.codebleu:.4f} is {claim.worth:.4f}."
        )
    if claim.zero_parts:
        names = " and ".join(part.replace("_", " ") for part in claim.zero_parts)
        verb = "is" if len(claim.zero_parts) == 1 else "are"
        found.append(f"In the published table {names} {verb} 0 in every row: nothing was compared.")
    if compat is not None:
        gap = claim.codebleu - compat
        if abs(gap) > TOLERANCE:
            found.append(
                f"Not reproducible: the published score is {claim.codebleu:.4f}, the same formula "
                f"gives {compat:.4f} from these predictions."
            )
        else:
            found.append(
                f"Reproducible: the published score is {claim.codebleu:.4f}, the same formula "
                f"gives {compat:.4f} from these predictions."
            )
    return found


def score_findings(figures: Mapping[str, Any]) -> list[str]:
    """About the score itself: what it is worth, and beside what."""
    found = []
    corrected, compat, n = figures["corrected"], figures["compat"], figures["n"]
    if compat and compat["free_points"] >= NOTABLE * compat["n"]:
        unflowing = compat["free_without_reference_flow"]
        also = (
            f" In {unflowing} of these the package finds none in the reference either: there "
            "the points are given to right and wrong answers alike."
            if unflowing >= NOTABLE * compat["n"]
            else ""
        )
        found.append(
            f"The codebleu package's formula gives {compat['codebleu']:.4f}, of which "
            f"{compat['codebleu'] - compat['without_free_points']:.4f} is for data flow that "
            f"{compat['free_points']} of {compat['n']} answers do not have "
            f"(`dataflow or 1`); mended, it gives {compat['without_free_points']:.4f}.{also}"
        )
    floor, score = corrected["floor"], corrected["codebleu"]
    if floor is not None and score <= floor + CLOSE:
        low, high = corrected["interval"]
        how = "Hardly" if low > floor else "No"
        found.append(
            f"{how} better than wrong answers: corrected CodeBLEU is {score:.4f} [{low:.4f}, "
            f"{high:.4f}], the answers to other problems score {floor:.4f}."
        )
    if n < 50:
        found.append(f"Only {n} row{'s' * (n != 1)}: differences of a few points are noise.")
    return found


def answer_findings(figures: Mapping[str, Any]) -> list[str]:
    """About the answers."""
    n = figures["n"]
    told = {
        "empty": "are empty or only comments",
        "unparsable": "cannot be read as code of the language that was asked for",
        "wrong_language": "are in another language than the one asked for",
        "looping": "repeat themselves (degenerate generation)",
        "template": "hold leftovers of a prompt template, such as </s> or [/INST]",
        "fenced": "hold Markdown fences: these and the words around them are scored as code",
        "raw_tokens": "are raw tokens of a data set (NEW_LINE, INDENT): detokenised here before "
        "the corrected score, but not by the package",
    }
    return [
        f"{figures[name]} of {n} answers {words}."
        for name, words in told.items()
        if figures[name] >= max(1.0, NOTABLE * n)
    ]


def language_findings(by_language: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """About what was answered to whom."""
    found = []
    answered: dict[str, int] = {}
    total = 0
    for figures in by_language.values():
        total += figures["n"]
        for language, count in figures["answered_in"].items():
            answered[language] = answered.get(language, 0) + count
    if len(by_language) > 1:
        known = {name: count for name, count in answered.items() if name != "unsure"}
        most = max(known, key=lambda name: known[name], default=None)
        if most is not None and known[most] > 0.5 * total:
            found.append(
                f"Collapse: {known[most]} of {total} answers are {LANGUAGES[most].label}, "
                f"whatever was asked; {answered.get('unsure', 0)} are no recognisable language."
            )
        for asked, figures in by_language.items():
            if figures["n"] >= 5 and not figures["answered_in"].get(asked):
                found.append(
                    f"Not one answer is clearly {LANGUAGES[asked].label}, where it was asked."
                )
    return found
