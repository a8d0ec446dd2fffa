"""Judging what models write: CodeBLEU, tests in a sandbox, routing, statistics, the report."""
