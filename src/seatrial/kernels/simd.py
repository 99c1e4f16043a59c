"""Whether SEATRIAL_SIMD names a level that this machine has. For: saying so before anything runs."""

from __future__ import annotations

import os

from seatrial._native.kernels import simd_level, simd_levels
from seatrial.errors import BackendUnavailableError, did_you_mean


def check_simd() -> None:
    """BackendUnavailableError where it names none."""
    if simd_level() is None:
        name, levels = os.environ.get("SEATRIAL_SIMD", ""), list(simd_levels())
        raise BackendUnavailableError(
            f"SEATRIAL_SIMD: expected one of {', '.join(levels)} on this machine, got {name!r}"
            f"{did_you_mean(name.lower(), levels)}; unset it for the best one"
        )
