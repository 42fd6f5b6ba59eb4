"""Seconds of ``divbench leaderboard check`` on 1000 entries, as a process of its own.

    pytest -m benchmark -s tests/benchmarks/test_leaderboard_speed.py

Asserted are seconds of the processor. The check is one thread: where nothing else computes, they are the clock's.
"""

import os
import subprocess
import sys
import time

import pytest

from tests.leaderboard.boards import make_crowd

pytestmark = pytest.mark.benchmark

RUN = """
import sys
from divbench.cli import main
try:
    main(sys.argv[1:])
finally:
    print("torch" in sys.modules)
"""


def timed(*arguments):
    """Seconds of clock and processor, and the last line that was said."""
    started, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True)
    seconds, after = time.perf_counter() - started, os.times()
    assert done.returncode == 0, done.stderr
    *_, said, torch = done.stdout.splitlines()
    assert torch == "False"
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used, said


def test_a_check_of_1000_entries_takes_less_than_two_seconds(tmp_path):
    folder = str(make_crowd(tmp_path / "leaderboards"))
    timed("leaderboard", "build", "--folder", folder)
    checks = [timed("leaderboard", "check", "--folder", folder) for _ in range(3)]
    assert "all is well. 1000 measured entries in 36 tables" in checks[0][2]
    seconds, used = (min(one[i] for one in checks) for i in (0, 1))
    print(f"\ncheck of 1000 entries: {seconds:.2f} s of the clock, {used:.2f} s of the processor, least of 3")
    assert used < 2
