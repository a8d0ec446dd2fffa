"""Start-up looks for no garbage, and models come with the usual collector.

Run with: pytest tests/test_garbage.py
"""

import subprocess
import sys


def said(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_a_command_starts_without_looking_for_garbage() -> None:
    version, looked = said(
        "import gc, sys\n"
        "from codemoe.__main__ import main\n"
        "looks = []\n"
        "gc.collect()\n"
        "gc.callbacks.append(lambda phase, info: looks.append(phase))\n"
        "sys.argv = ['codemoe', '--version']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(len(looks), end='')\n"
    )
    assert version.startswith("codemoe")
    assert looked == "0"


def test_models_come_with_the_usual_collector() -> None:
    usual, start_up, models = said(
        "import gc\n"
        "from codemoe import garbage\n"
        "from codemoe.cli.app import quiet_libraries\n"
        "print(gc.get_threshold())\n"
        "garbage.put_off()\n"
        "print(gc.get_threshold())\n"
        "quiet_libraries()\n"
        "garbage.as_usual()\n"
        "print(gc.get_threshold(), end='')\n"
    )
    assert start_up != usual
    assert models == usual
