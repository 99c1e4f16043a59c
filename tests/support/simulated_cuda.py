"""A driver library without a device, for tests: builds simulated_cuda.cpp and says what it shall do. See there for the script."""

import ctypes
import fcntl
import gc
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")
BODY = ctypes.CFUNCTYPE(
    None, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_uint)
)

# For devices too. add_one adds one to each of n bytes.
PTX = """.version 7.0
.target sm_75
.address_size 64
.visible .entry add_one(.param .u64 p, .param .u64 n)
{
    .reg .pred %q<2>;
    .reg .b16 %h<3>;
    .reg .b32 %r<5>;
    .reg .b64 %rd<6>;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.u32 %r4, %r1, %r2, %r3;
    cvt.u64.u32 %rd1, %r4;
    ld.param.u64 %rd2, [n];
    setp.ge.u64 %q1, %rd1, %rd2;
    @%q1 bra $over;
    ld.param.u64 %rd3, [p];
    cvta.to.global.u64 %rd4, %rd3;
    add.u64 %rd5, %rd4, %rd1;
    ld.global.u8 %h1, [%rd5];
    add.u16 %h2, %h1, 1;
    st.global.u8 [%rd5], %h2;
$over:
    ret;
}
.visible .entry nothing() { ret; }
"""


def build() -> Path:
    """The library, built once for each state of its source."""
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"seatrial-simulated-cuda-{os.getuid()}-{key}" / "libcuda.so.1"
    library.parent.mkdir(exist_ok=True, mode=0o700)
    with (library.parent / "lock").open("w") as lock:
        # Another process may be at it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.exists():
            return library
        own = library.with_name(f"{os.getpid()}.so")
        words = ["g++", "-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
        subprocess.run([*words, str(SOURCE), "-o", str(own)], check=True)
        own.rename(library)
    return library


def other(folder: Path, without: Sequence[str] = ()) -> Path:
    """Another driver, with a state of its own, since a library is known by its file; `without` are functions it has not."""
    content = build().read_bytes()
    for name in without:
        # Where the dynamic linker compares names.
        old = b"\0" + name.encode() + b"\0"
        assert content.count(old) >= 1, name
        content = content.replace(old, b"\0x" + name[1:].encode() + b"\0")
    library = folder / "libcuda.so.1"
    library.write_bytes(content)
    return library


class SimulatedCuda:
    """A loaded simulation, for scripts and questions."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or build()
        self.library = ctypes.CDLL(str(self.path))
        self.library.simulated_count.restype = ctypes.c_long
        self.library.simulated_foreign_stream.restype = ctypes.c_void_p
        self.library.simulated_memory.restype = ctypes.c_void_p
        self.library.simulated_trace.restype = ctypes.c_char_p
        self.library.simulated_memory.argtypes = [ctypes.c_ulonglong, ctypes.c_size_t]
        self.library.simulated_kernel.argtypes = [ctypes.c_char_p, BODY, ctypes.c_int64]
        self.bodies: dict[str, Callable[..., None]] = {}
        # For ever: a graph may still call one when another script is given.
        self.calls: dict[str, object] = {}

    def script(self, text: str = "") -> None:
        """From now on; what is alive stays, what was counted is forgotten."""
        self.library.simulated_reset(text.encode())
        self.bodies.clear()

    def forget(self) -> None:
        """Frees whatever is alive; nobody may use it any more."""
        self.library.simulated_forget()

    def count(self, what: str) -> int:
        return int(self.library.simulated_count(what.encode()))

    def trace(self, *names: str) -> list[str]:
        """The calls of these names in order, since a script with the word 'trace'."""
        return [name for name in self.library.simulated_trace().decode().split() if name in names]

    def check_nothing_is_left(self) -> None:
        """Of the tests before: pytest keeps what a test was given until all its fixtures have ended."""
        # An error that was caught holds its test's objects in a circle; mostly a young one.
        for generation in (1, 2):
            gc.collect(generation)
            left = {kind: count for kind, count in self.alive().items() if count}
            if not left:
                break
        self.forget()
        assert not left, f"the test before left on the device: {left}"

    def alive(self) -> dict[str, int]:
        kinds = ("memory", "pinned", "streams", "events", "graphs", "modules", "retained", "depth")
        return {kind: self.count(kind) for kind in kinds}

    def kernel(self, name: str, body=None, duration_ns: int = 1000) -> None:
        """What a kernel does when its stream is waited for: body(values, grid, block), values being addresses of the arguments.
        In the body, memory() gives an address that the host can read."""

        def alone(*launched) -> None:
            # The driver is locked meanwhile, and what a collection finds may want to give memory back.
            collects = gc.isenabled()
            gc.disable()
            try:
                if name in self.bodies:
                    self.bodies[name](*launched)
            finally:
                if collects:
                    gc.enable()

        if body:
            self.bodies[name] = body
        call = self.calls.setdefault(name, BODY(alone)) if body else BODY()
        self.library.simulated_kernel(name.encode(), call, duration_ns)

    def memory(self, pointer: int, nbytes: int) -> int:
        return int(self.library.simulated_memory(pointer, nbytes) or 0)

    def foreign_stream(self) -> int:
        return int(self.library.simulated_foreign_stream())
