"""What seatrial runs on an NVIDIA card itself. Not for: the driver's functions (_native.cuda), or models (backends)."""
