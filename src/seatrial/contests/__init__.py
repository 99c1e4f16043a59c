"""Kernels against what people write without them, in interleaved rounds."""
