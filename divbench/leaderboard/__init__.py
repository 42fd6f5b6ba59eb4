"""Leaderboards: what papers printed, what was measured, and what cannot both be true. No torch in here.

reported/*.toml -> facts   [reported, facts]     methods.toml -> names  [methods]
results/**/*.json -> entries  [entries, add]     claims/*.claims.toml -> verdicts  [stated]
all of them -> Board [board] -> findings [audit, rules] -> README.md, index.html, numbers.csv  [tables, numbers, build]
Board beside what was published -> changes  [changes, check]
"""

from pathlib import Path

FOLDER = Path("leaderboards")
"""Where a leaderboard is, in the root of a repository."""

TOLERANCE = 1e-3
"""Relative change of a number that a second run on another machine may make."""
