"""The drivers of one evaluation: made on first use, calibrated, closed together."""

import dataclasses
import hashlib
import json
import threading
import time
from dataclasses import asdict, replace

from codemoe.evaluate.sandbox.calibrate import time_scale
from codemoe.evaluate.sandbox.drivers import DRIVERS, runnable
from codemoe.evaluate.sandbox.judgement import Driver, Judgement, Setup
from codemoe.evaluate.sandbox.records import Job, Limits, Verdict
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import MissingTool, find_tools
from codemoe.languages import LANGUAGES

_JUDGES = "2"  # part of every cache key: raise it when a launcher changes its judgement


class Session:
    """`scales` holds the measured time factor of each language that was used."""

    def __init__(self, limits: Limits, tier: str, calibrate: bool = True) -> None:
        self.limits, self.tier = limits, tier
        self.stop = threading.Event()
        self.scales: dict[str, float] = {}
        self._calibrate = calibrate
        self._tools: dict[str, str] = {}
        self._drivers: dict[str, Driver | str] = {}
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    def tools(self, language: str) -> str:
        """The tools' versions, or why there are none; part of every cache key."""
        with self._lock:
            if language not in self._tools:
                row = LANGUAGES.get(language)
                try:
                    tools = find_tools(row) if row is not None and row.toolchain else ()
                    self._tools[language] = ", ".join(tool.version for tool in tools)
                except MissingTool as missing:
                    self._tools[language] = str(missing)
            return self._tools[language]

    def driver(self, language: str, slot: Slot) -> Driver | str:
        """The driver of a language, or why there is none."""
        with self._lock:
            making = self._making.setdefault(language, threading.Lock())
        with making:  # one makes and calibrates it, others of that language wait
            if language not in self._drivers:
                self._drivers[language] = self._make(language, slot)
            return self._drivers[language]

    def _make(self, language: str, slot: Slot) -> Driver | str:
        row = LANGUAGES.get(language)
        if row is None or row.toolchain is None:
            known = ", ".join(runnable())
            return f"codemoe cannot run {language} programs; it can run {known}"
        make = DRIVERS[row.toolchain.driver]
        driver = None
        try:
            driver = make(row, Setup(self.limits, self.tier))
            if self._calibrate:
                scale = self.scales[language] = round(time_scale(language, driver, slot), 2)
                if scale > 1.0:
                    driver.close()
                    driver = make(row, Setup(_scaled(self.limits, scale), self.tier))
            return driver
        except MissingTool as missing:
            if driver is not None:
                driver.close()
            return f"{row.label}: {missing}"
        except BaseException:
            if driver is not None:
                driver.close()
            raise

    def key(self, job: Job) -> str:
        """Changes when anything does that the verdict depends on."""
        same = {**asdict(job), "id": None}
        parts = [_JUDGES, self.tier, asdict(self.limits), self.tools(job.language), same]
        return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()

    def judge(self, job: Job, number: int) -> Verdict:
        """One verdict; the machine's own trouble is tried a second time."""
        slot = Slot(number, self.stop, self.tier)
        driver = self.driver(job.language, slot)
        if isinstance(driver, str):
            return self.verdict(job, Judgement("missing_toolchain", driver), 0.0)
        begun = time.monotonic()
        judgement = driver.judge(job, slot)
        if judgement.status == "sandbox_error":  # perhaps a passing one
            judgement = driver.judge(job, slot)
        return self.verdict(job, judgement, time.monotonic() - begun)

    def verdict(self, job: Job, judgement: Judgement, seconds: float) -> Verdict:
        status, detail, form = judgement
        tools = self.tools(job.language)
        return Verdict(job.id, job.language, status, seconds, detail, form, self.tier, tools)

    def close(self) -> None:
        self.stop.set()
        for driver in self._drivers.values():
            if not isinstance(driver, str):
                driver.close()
        self._drivers.clear()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _scaled(limits: Limits, scale: float) -> Limits:
    times = {
        field.name: getattr(limits, field.name) * scale
        for field in dataclasses.fields(limits)
        if field.name.endswith("_s")
    }
    return replace(limits, **times)
