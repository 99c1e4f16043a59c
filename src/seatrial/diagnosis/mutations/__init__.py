"""Known mistakes by stage, each a change of the reference. Not for: what a fault is called and cured by (seatrial.faults)."""
