"""Backends by name, as plans and commands speak of them: which there are, which options each takes, which one is meant.

For: all that must know a backend without opening it. Not for: running anything (backends).
"""
