"""PHP: one process whose launcher runs the candidate, then the tests."""

from pathlib import Path

from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.records import Job, run_profile
from codemoe.evaluate.sandbox.script import Script
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import Tool, find_tools
from codemoe.languages import Language


class Php:
    """The interpreter, without its ini files but for the extensions' own."""

    def __init__(self, row: Language, setup: Setup) -> None:
        (tool,) = find_tools(row)
        memory = setup.limits.memory_mb
        settings = {
            "display_errors": "stderr",
            "memory_limit": f"{memory // 2}M",
            "zend.assertions": "1",
            "assert.exception": "1",
            "opcache.enable_cli": "0",
            "open_basedir": "",
            # What a test would lean on stays as it is: no runtime-made functions of C.
            "ffi.enable": "0",
        }
        words = [word for name, value in settings.items() for word in ("-d", f"{name}={value}")]
        profile = run_profile(setup.limits, address_mb=2 * memory, data_mb=memory, proc=False)
        etc = tuple(str(path) for path in [Path("/etc/php")] if path.exists())
        tool = Tool(tool.name, tool.path, (*tool.binds, *etc), tool.stamp)
        self._script = Script(tool, [*words, "-r"], "launch_php.php", profile)

    def judge(self, job: Job, slot: Slot) -> Judgement:
        return self._script.judge(job, slot)

    def close(self) -> None:
        """Nothing to end."""
