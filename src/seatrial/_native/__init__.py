"""Compiled modules: each joins one folder of csrc to Python. Not public: use seatrial.kernels and seatrial.timing."""
