"""A plan checked against this machine and expanded into cells; what a cell's process does."""
