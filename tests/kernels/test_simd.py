"""SEATRIAL_SIMD: a level that this machine has, in any letters; anything else is refused before something runs."""

import os
import subprocess
import sys

import pytest

from seatrial._native.kernels import simd_levels
from seatrial.kernels.simd import check_simd

# It is read once, when the extension is loaded: so in a process of its own.
CODE = """
from seatrial._native.kernels import simd_level
from seatrial.kernels.simd import check_simd
from seatrial.errors import BackendUnavailableError
try:
    check_simd()
    print(simd_level())
except BackendUnavailableError as e:
    print(f"{int(e.exit_code)} {e}")
"""
NATIVE = simd_levels()


def said(value):
    environment = {k: v for k, v in os.environ.items() if k != "SEATRIAL_SIMD"}
    environment |= {} if value is None else {"SEATRIAL_SIMD": value}
    return subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True).stdout[:-1]  # fmt: skip


def test_without_it_the_best_one():
    assert said(None) == NATIVE[-1]


@pytest.mark.parametrize("level", sorted({NATIVE[0], NATIVE[-1]}))
def test_each_level_of_this_machine(level):
    assert said(level) == level


@pytest.mark.parametrize("name", ["avx-512", "fastest please", "a\nb"])
def test_any_other_is_refused_with_the_levels_that_there_are(name):
    text = said(name)
    assert text.startswith(f"5 SEATRIAL_SIMD: expected one of {', '.join(NATIVE)} on this machine, got {name!r}")
    assert text.endswith("; unset it for the best one")


def test_a_near_one_is_named():
    level = NATIVE[-1]
    assert f"got '{level.upper()}x' (did you mean '{level}'?)" in said(f"{level.upper()}x")


def test_here_it_is_fine():
    assert check_simd() is None
