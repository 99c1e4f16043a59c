"""A simulated driver, as a library that nothing else loads."""

import pytest
from simulated_cuda import SimulatedCuda

from seatrial import cuda


@pytest.fixture(scope="session")
def loaded_simulation() -> SimulatedCuda:
    return SimulatedCuda()


@pytest.fixture
def simulated(loaded_simulation: SimulatedCuda) -> SimulatedCuda:
    """As after loading."""
    loaded_simulation.script()
    loaded_simulation.check_nothing_is_left()
    cuda.load(str(loaded_simulation.path))
    return loaded_simulation
