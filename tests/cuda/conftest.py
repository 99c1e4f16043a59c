"""A simulated driver, as a library that nothing else loads."""

import gc

import pytest
from simulated_cuda import SimulatedCuda

from seatrial import cuda


def check_nothing_is_left(simulation: SimulatedCuda) -> None:
    """Of the tests before: pytest keeps what a test was given until all its fixtures have ended."""
    # An error that was caught holds its test's objects in a circle; a young one.
    gc.collect(1)
    left = {kind: count for kind, count in simulation.alive().items() if count}
    simulation.forget()
    assert not left, "the test before left something on the device"


@pytest.fixture(scope="session")
def loaded_simulation() -> SimulatedCuda:
    return SimulatedCuda()


@pytest.fixture
def simulated(loaded_simulation: SimulatedCuda) -> SimulatedCuda:
    """As after loading."""
    loaded_simulation.script()
    check_nothing_is_left(loaded_simulation)
    cuda.load(str(loaded_simulation.path))
    return loaded_simulation
