"""The report: what a run achieved, as a page a person reads and numbers a script reads."""

from codemoe.evaluate.report.build import make_report
from codemoe.evaluate.report.checks import Check, check_thresholds

__all__ = ["Check", "check_thresholds", "make_report"]
