"""Where two pipelines part, and which known mistake explains it. Not for: a trial's verdicts (gate)."""
