"""A simulated driver, as a library that nothing else loads."""

from collections.abc import Iterator

import pytest
from simulated_cuda import SimulatedCuda

from seatrial import cuda


@pytest.fixture(scope="session")
def loaded_simulation() -> SimulatedCuda:
    return SimulatedCuda()


@pytest.fixture
def simulated(loaded_simulation: SimulatedCuda) -> Iterator[SimulatedCuda]:
    """As after loading; whatever a test made is gone behind it, and no context is left current."""
    loaded_simulation.script()
    before = loaded_simulation.alive()
    cuda.load(str(loaded_simulation.path))
    yield loaded_simulation
    loaded_simulation.script()
    assert loaded_simulation.alive() == before
