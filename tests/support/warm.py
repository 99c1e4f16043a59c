"""Fresh processes for tests without waiting for imports: a server that has imported everything forks one for each start.

Starting an interpreter and importing what seatrial uses takes a second, and a test suite starts a thousand of them. `Popen`
takes subprocess.Popen's place: where the command is seatrial's own, the process is forked from the server, and in all that a
test can see it is what it would have been: a child of whoever started it, with its own signals, descriptors, environment and
folder. Any other command, and one whose interpreter would start differently, is started as ever.

For: tests that are about something else. Not for: what importing shows; `cold` gives a test plain processes.
Linux only: the child is handed to its parent by a "subreaper" (prctl(2)).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import functools
import gc
import importlib
import inspect
import io
import itertools
import json
import os
import pkgutil
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Each is run as __main__, so it must not be imported before.
MODULES = ("seatrial.jobs.worker", "seatrial.compare.turns", "seatrial.images.check")
COMMAND = "from seatrial.cli import main"
HEAVY = (
    "numpy", "cv2", "PIL.Image", "PIL.ImageOps", "pandas", "pyarrow.parquet", "scipy.stats", "onnx",
    "pycocotools.cocoeval", "matplotlib.figure", "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg", "jinja2", "typer", "rich.progress", "psutil", "yaml",
)  # fmt: skip
LARGEST_REQUEST = 1 << 18
# Above whatever a caller's own descriptors are.
ASIDE = 500


class Popen(subprocess.Popen):
    """subprocess.Popen, but seatrial's own commands are forked from the server."""

    server: ClassVar[Callable[[], Server] | None] = None

    def _execute_child(self, *args: Any, **kwargs: Any) -> None:
        start = _PLAIN_START.bind(self, *args, **kwargs).arguments
        program = _program(start) if Popen.server else None
        if Popen.server is None or program is None:
            super()._execute_child(*args, **kwargs)
            return
        given = [start["p2cread"], start["c2pwrite"], start["errwrite"]]
        standard = [own if theirs == -1 else theirs for own, theirs in enumerate(given)]
        pid = Popen.server().start(program, standard, start)
        if pid is None:
            super()._execute_child(*args, **kwargs)
            return
        self.pid = pid
        self._child_created = True
        self._close_pipe_fds(
            start["p2cread"],
            start["p2cwrite"],
            start["c2pread"],
            start["c2pwrite"],
            start["errread"],
            start["errwrite"],
        )


_PLAIN_START = inspect.signature(subprocess.Popen._execute_child)


def _program(start: dict[str, Any]) -> list[str] | None:
    """What seatrial's own process runs: ["-m", MODULE, ...] or ["-c", CODE, ...]; None where only a plain start will do."""
    words = [os.fspath(w) for w in start["args"]] if not isinstance(start["args"], str | bytes) else []
    if not words or words[0] != sys.executable or start["preexec_fn"] or start["shell"]:
        return None
    environment = os.environ if start["env"] is None else start["env"]
    # What the interpreter and the libraries read at their start, the server has read already.
    if any(_read_at_start(k) and environment.get(k) != os.environ.get(k) for k in {*environment, *os.environ}):
        return None
    rest = words[1:]
    if rest[:1] == ["-P"]:
        rest = rest[1:]
    ours = len(rest) > 1 and ((rest[0] == "-m" and rest[1] in MODULES) or (rest[0] == "-c" and COMMAND in rest[1]))
    return rest if ours else None


def _read_at_start(variable: str) -> bool:
    return re.match(r"PYTHON|LD_|LANG|LC_|SEATRIAL_SIMD|MPL|ORT_|OPENCV", variable) is not None


class Server:
    """A caller's end: asks for processes, which become children of this one."""

    def __init__(self, talk: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self._talk = talk
        self._process = process
        self._numbers = itertools.count()
        self._one_at_a_time = threading.Lock()

    def start(self, program: list[str], standard: list[int], start: dict[str, Any]) -> int | None:
        """The process's id; None where the server has ended, or could not fork: the machine may be short of memory."""
        numbers = sorted(start["pass_fds"])
        request = {
            "number": next(self._numbers), "program": program, "numbers": [0, 1, 2, *numbers], "cwd": os.fspath(start["cwd"] or os.getcwd()),
            "environment": dict(os.environ if start["env"] is None else start["env"]),
            "session": start["start_new_session"], "ignores_ctrl_c": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        }  # fmt: skip
        with self._one_at_a_time, _adopting(), contextlib.suppress(ConnectionError):
            socket.send_fds(self._talk, [json.dumps(request).encode()], [*standard, *numbers])
            while answer := self._talk.recv(64):
                number, pid = map(int, answer.split())
                # Another's is of a caller that was interrupted before it heard it.
                if number == request["number"]:
                    return pid or None
        return None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def end(self) -> None:
        self._talk.close()
        if self._process is not None:
            self._process.wait()


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """While it lasts, a descendant that loses its parent becomes a child of this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)


def prctl(what: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@functools.cache
def begin() -> Server:
    """A server for this process, in a fresh interpreter: what a test run has opened and started is not inherited."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"},
        )  # fmt: skip
    return Server(ours, process)


def server_pid() -> int | None:
    """Of the server that `begin` started, None before that."""
    return begin().pid if begin.cache_info().currsize else None


def main() -> None:
    talk = socket.socket(fileno=int(sys.argv[1]))
    for name in HEAVY:
        importlib.import_module(name)
    # Before seatrial is imported: it may have classes of its own upon it.
    subprocess.Popen = Popen  # type: ignore[misc]
    import seatrial

    for module in pkgutil.walk_packages(seatrial.__path__, "seatrial."):
        if module.name not in MODULES:
            importlib.import_module(module.name)
    # What a process would do once, each would do once.
    importlib.import_module("seatrial.report.html").template()
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, f"a process of {len(threads)} threads cannot be forked safely"
    # Else each child's first collection would copy every page that an object lies on.
    gc.freeze()
    serve(talk)


def serve(talk: socket.socket) -> None:
    """Forks until the caller is gone. Returns in no process: the forked ones end in `run`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, descriptors, *_ = socket.recv_fds(talk, LARGEST_REQUEST, 64)
        if not message:
            os._exit(0)
        request = json.loads(message)
        try:
            pid = _fork_orphan(talk, request, descriptors)
        except OSError:
            pid = 0
        for descriptor in descriptors:
            os.close(descriptor)
        talk.send(f"{request['number']} {pid}".encode())


def _fork_orphan(talk: socket.socket, request: dict[str, Any], descriptors: list[int]) -> int:
    """The process's id. Its parent ends at once, so that whoever adopts becomes its parent; only then does it go on."""
    said, say = os.pipe()
    gate, open_gate = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            pid = os.fork()
            if pid:
                os.write(say, str(pid).encode())
                os._exit(0)
            os.close(open_gate)
            os.read(gate, 1)
            talk.close()
            run(request, descriptors)
        finally:
            # Whatever went wrong: a second server is never what comes of it.
            traceback.print_exc()
            os._exit(70)
    os.close(say)
    os.waitpid(between, 0)
    pid = int(os.read(said, 32) or 0)
    for end in (said, gate, open_gate):
        os.close(end)
    return pid


def run(request: dict[str, Any], descriptors: list[int]) -> None:
    """Makes this process what a fresh interpreter would be, runs the program, and ends."""
    aside = [fcntl.fcntl(d, fcntl.F_DUPFD, ASIDE) for d in descriptors]
    os.closerange(0, ASIDE)
    for descriptor, number in zip(aside, request["numbers"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.SIG_IGN if request["ignores_ctrl_c"] else signal.default_int_handler)
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w", "backslashreplace")
    way, what, *words = request["program"]
    _end(_exit_status(way, what, words))


def _stream(descriptor: int, mode: str, errors: str = "strict") -> io.TextIOWrapper:
    binary = open(descriptor, mode + "b", closefd=False)  # noqa: SIM115 - open as long as the process
    terminal = os.isatty(descriptor)
    return io.TextIOWrapper(binary, errors=errors, line_buffering=terminal or descriptor == 2)


def _exit_status(way: str, what: str, words: list[str]) -> int:
    try:
        if way == "-m":
            sys.argv = [what, *words]
            sys.modules.pop(what, None)
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *words]
            sys.path.insert(0, "")
            # A server of its own, forked while there is one thread only.
            server = _another()
            Popen.server = staticmethod(lambda: server)
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        print(e.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _another() -> Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    if os.fork() == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        ours.close()
        kept = fcntl.fcntl(theirs.detach(), fcntl.F_DUPFD, ASIDE)
        os.closerange(0, ASIDE)
        for _ in range(3):
            os.open(os.devnull, os.O_RDWR)
        if os.getppid() == parent:
            serve(socket.socket(fileno=kept))
        os._exit(0)
    theirs.close()
    return Server(ours)


def _end(status: int) -> None:
    """Like the interpreter's own end, without taking two thousand modules apart."""
    with contextlib.suppress(BaseException):
        threading._shutdown()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 120
    os._exit(status)


if __name__ == "__main__":
    main()
