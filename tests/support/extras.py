"""Optional packages of tests marked `extra`: skipped where one is not installed, unless the step that installs it says otherwise."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import pytest


def extra(package: str) -> Any:
    """The package, imported. Where it is missing the test is skipped, and fails under SEATRIAL_EXTRAS=required, as CI has it."""
    try:
        return import_module(package)
    except ImportError as e:
        if os.environ.get("SEATRIAL_EXTRAS") == "required":
            raise
        pytest.skip(f"{package} is not installed: {e}")
