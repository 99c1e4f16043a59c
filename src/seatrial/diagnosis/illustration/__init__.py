"""A known mistake made on a picture of the demo's, to be seen. Not for: finding it in anybody's pipeline (diagnose.py)."""
