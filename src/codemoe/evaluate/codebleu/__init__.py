"""Honest CodeBLEU: n-gram, weighted n-gram, syntax and data-flow match (arXiv:2009.10297)."""

from codemoe.evaluate.codebleu.corpus import CorpusScore, score_corpus
from codemoe.evaluate.codebleu.program import Program, read_program
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, PAPER_WEIGHTS, CodeBleu, Weights
from codemoe.evaluate.codebleu.score import score_pair, score_programs

__all__ = [
    "EQUAL_WEIGHTS",
    "PAPER_WEIGHTS",
    "CodeBleu",
    "CorpusScore",
    "Program",
    "Weights",
    "read_program",
    "score_corpus",
    "score_pair",
    "score_programs",
]
