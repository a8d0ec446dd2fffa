"""Suites of programming problems: every published file format is read into one record."""

from codemoe.evaluate.suites.problem import Problem
from codemoe.evaluate.suites.read import FORMATS, detect_format, read_suite, suite_files

__all__ = ["FORMATS", "Problem", "detect_format", "read_suite", "suite_files"]
