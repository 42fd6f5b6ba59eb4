"""The rules of the audit. Each is a function of all facts that yields drafts of findings.

Printed values are rounded: rules that hold them against bounds or against each other give them the benefit of half a
unit in their last place; rules about gains take them as printed.
"""
