"""Taps: what a pipeline had at each stage, image by image, in a folder that any program can write. See docs/taps.md.

For: the format (manifest.py), reading (folder.py), writing (writer.py) and checking it (check.py). Not for: making them of a
plan's pipeline, or comparing two.
"""
