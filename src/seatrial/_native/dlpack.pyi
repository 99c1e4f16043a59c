def give(
    pointer: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: tuple[int, int], device: tuple[int, int], owner: object, *,
    read_only: bool, versioned: bool,
) -> object:
    """A DLPack capsule of memory that `owner` keeps. strides: in elements; dtype: (code, bits); device: (type, id).

    versioned: of version 1, which can say that it is read-only; else of the form before.
    """

class Taken:
    """A tensor out of another library's capsule, which is used up. Its memory lives as long as this."""

    def __init__(self, capsule: object) -> None:
        """BufferError where the capsule was taken before, or is of a version that is not known."""
    @property
    def read_only(self) -> bool: ...
    @property
    def pointer(self) -> int:
        """Of the first element."""
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...] | None:
        """In elements; None: C order."""
    @property
    def dtype(self) -> tuple[int, int, int]:
        """(code, bits, lanes)."""
    @property
    def device(self) -> tuple[int, int]:
        """(type, id)."""
