"""Precision variants of an ONNX model, made once and cached by content digest.

For: turning a model file and a precision's name into a model file. Not for: judging what the precision costs (parity).
A new precision is one more entry in makers.MAKERS.
"""

from seatrial.precision.conversion import Calibration
from seatrial.precision.variants import variant

__all__ = ["Calibration", "variant"]
