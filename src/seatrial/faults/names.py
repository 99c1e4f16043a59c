"""The stable names of known mistakes, in the catalogue's order. Not for: what each is (catalogue.py)."""

from __future__ import annotations

NAMES = (
    "channel-order", "scale-missing", "scale-doubled", "scale-wrong", "mean-std", "normalise-order", "antialias",
    "interpolation", "half-pixel", "resize-mode", "crop-fraction", "pad-value", "pad-anchor", "unletterbox", "exif",
    "layout-reshape", "non-contiguous", "jpeg-decoder", "yuv-range", "yuv-matrix", "chroma-subsampling", "alpha-or-depth",
    "fp16-overflow", "precision-not-applied", "backend-wrong", "batch-dependent", "calibration", "stale-output", "activation",
    "label-offset", "label-map", "box-format", "box-normalised", "nms-settings", "decode-mode", "pooling-mode",
    "graph-attribute",
)  # fmt: skip
