"""Pixels for eyes: results on their images, maps in colours, differences made visible. Not for: which are shown, or pages."""
