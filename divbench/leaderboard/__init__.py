"""Leaderboards: what papers printed, what was measured, and what cannot both be true. No torch in here.

leaderboards/reported/*.toml -> papers, tables, flat facts  [reported]
facts -> findings, each by a rule with a reference          [audit]
"""
