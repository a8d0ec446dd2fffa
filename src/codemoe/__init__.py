"""codemoe: one dense language model in, a proven mixture of programming-language experts out."""

__version__ = "0.1.0"
