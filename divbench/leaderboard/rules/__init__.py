"""The rules of the audit. Each is a function of all facts that yields drafts of findings.

Printed values are rounded, so every rule gives them the benefit of half a unit in their last place.
"""
