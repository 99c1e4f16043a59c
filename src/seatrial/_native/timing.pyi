import numpy as np
import numpy.typing as npt

def now_ns() -> int:
    """Monotonic clock, nanoseconds since an arbitrary start."""

def clock_step_ns(tries: int = 1000) -> int:
    """Smallest step seen between two different clock readings, nanoseconds. ValueError where tries < 1."""

class StageSamples:
    """A preallocated table of stage times; a row goes begin(), lap() once a stage, end()."""

    def __init__(self, capacity: int, stages: int) -> None:
        """MemoryError where the table does not fit; ValueError where capacity or stages < 1."""
    def __len__(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def stages(self) -> int: ...
    def begin(self) -> bool:
        """Starts a row; False where the table is full."""
    def lap(self) -> None:
        """Ends the current stage and starts the next at the same reading."""
    def end(self) -> bool:
        """Ends the row; False, and the row is dropped, where a stage is missing or one too many."""
    def to_array(self) -> npt.NDArray[np.int64]:
        """Copy of the rows, (rows, 1 + stages + 1) int64 nanoseconds: start, one a stage, end to end."""
