"""Soft labels: their files, ours and public ones, and what a student has to see of an image that was labelled."""
