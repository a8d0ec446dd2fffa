"""Tests of a program that a page's user asks for: in the sandbox, one at a time, if enabled."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from codemoe.languages import find_language
from codemoe.serve.errors import ApiError, bad

MAX_WAITING = 8
_Source = Annotated[str, Field(max_length=100_000)]


@dataclass(frozen=True)
class Judge:
    """`run(language, code, tests)` takes seconds and gives the fields of a `TestReply`."""

    languages: tuple[str, ...]
    run: Callable[[str, str, str], dict[str, Any]]


class TestRequest(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    language: Annotated[str, Field(max_length=64)]
    code: _Source
    tests: _Source


class TestReply(BaseModel):
    status: str
    detail: str
    seconds: float
    tier: str
    form: str


class TestRuns:
    def __init__(self, judge: Judge | None) -> None:
        self.judge = judge
        self._waiting = 0
        # Programs that run side by side would take each other's time.
        self._one = asyncio.Lock()

    @property
    def languages(self) -> tuple[str, ...]:
        return () if self.judge is None else self.judge.languages

    async def run(self, asked: TestRequest) -> dict[str, Any]:
        if self.judge is None:
            raise ApiError(403, "this server runs no programs", "tests_are_off")
        language = find_language(asked.language)
        if language is None or language.name not in self.judge.languages:
            known = ", ".join(self.judge.languages)
            raise bad(
                f"programs of {asked.language!r} are not run; of {known} they are", "language"
            )
        if not asked.code.strip() or not asked.tests.strip():
            raise bad("there is nothing to run", "tests" if asked.code.strip() else "code")
        if self._waiting >= MAX_WAITING:
            raise ApiError(
                429, "other programs wait already", "queue_full", headers={"Retry-After": "2"}
            )
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(
                    self.judge.run, language.name, asked.code, asked.tests
                )
        finally:
            self._waiting -= 1
