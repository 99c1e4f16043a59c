"""How long things take, and where it was measured. For: clocks, loops, environment. Not for: verdicts (gate)."""
