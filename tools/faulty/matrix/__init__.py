"""The fault matrix: which candidates there are, what `seatrial parity` says of each, and how often it is right."""
