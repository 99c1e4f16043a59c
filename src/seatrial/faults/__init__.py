"""Known mistakes of vision pipelines: their names, how they show, and their cures. Pure data."""
