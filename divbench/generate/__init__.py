"""Generate distilled sets: squeeze, recover, relabel.

What optimises a number here shares no code with what measures it.
"""
