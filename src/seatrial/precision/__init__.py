"""Precision variants of an ONNX model, made once and cached by content digest.

For: turning a model file and a precision's name into a model file. Not for: judging what the precision costs (parity).
A new precision is one more entry in variants.MAKERS.
"""

from seatrial.precision.variants import Calibration, unsupported, variant

__all__ = ["Calibration", "unsupported", "variant"]
