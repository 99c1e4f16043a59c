"""Pipelines as people write them in production, right ones and wrong ones, to try `seatrial parity` on.

For: candidates whose fault is known, written with OpenCV, Pillow, NumPy and onnxruntime alone, so that seatrial is not tested
against itself. Not for: anything that seatrial runs on; nothing here imports it but what gives its results their types.
"""
