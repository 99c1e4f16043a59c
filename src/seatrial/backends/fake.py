"""A backend that plays a script: latencies, outputs and failures. For: tests of everything around a backend.

A script is a JSON file called *.fake.json:
    {"inputs":  {"x": {"shape": ["batch", 3, 8, 8], "dtype": "float32"}},
     "outputs": {"y": {"shape": ["batch", 3], "values": 0.5}},          # a number or nested list, broadcast
     "latency_ms": [1.0, 2.0],                                           # taken in turn
     "stall": {"at": 20, "ms": 50},                                      # one request that takes so much longer
     "leak_bytes": 4096,                                                 # kept for ever, of each request
     "drift_per_s": 0.001,                                               # how much longer, by that of itself, a second
     "kernels": {"at_ms": 300, "times": 0.5},                            # others from so long behind the first request on
    "load_ms": 5, "fail": {"at": 10, "how": "raise", "batch": 1}}         # raise, segfault, kill, hang or exit
"values": "channel_mean" gives the mean of each input channel, so that a test can see what preprocessing did.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import now_ns
from seatrial.backends.base import Closing, OpenOptions, TensorSpec, check_feeds
from seatrial.errors import CellError, ModelError
from seatrial.model.file import FAKE_SUFFIX


class FakeBackend(Closing):
    name: str = "fake"

    def __init__(self, model: Path, script: dict[str, Any], options: OpenOptions) -> None:
        self._model = model
        self._script = script
        self._options = options
        self._batch = next((s[0] for s in options.input_shapes.values()), 1)
        self._threads = options.threads
        self._runs = 0
        self._began_ns = 0
        self._leaked: list[bytearray] = []
        # Unasked, as a runtime that compiles them meanwhile.
        self.kernels_change = "kernels" in script
        self._latencies_ns = [int(ms * 1e6) for ms in script.get("latency_ms", [0])]

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        if not model.name.endswith(FAKE_SUFFIX):
            raise ModelError(f"the fake backend plays scripts called *{FAKE_SUFFIX}, not models", subject=model)
        script = json.loads(model.read_text("utf-8"))
        time.sleep(script.get("load_ms", 0) / 1e3)
        return cls(model, script, options)

    def inputs(self) -> list[TensorSpec]:
        return self._specs("inputs")

    def outputs(self) -> list[TensorSpec]:
        return self._specs("outputs")

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        check_feeds(self._model, list(self._script["inputs"]), feeds)
        began_ns = now_ns()
        self._began_ns = self._began_ns or began_ns
        longer = 1 + self._script.get("drift_per_s", 0.0) * (began_ns - self._began_ns) / 1e9
        kernels = self._script.get("kernels")
        if kernels and began_ns - self._began_ns >= 1e6 * kernels["at_ms"]:
            longer *= kernels["times"]
        deadline_ns = began_ns + int(longer * self._latencies_ns[self._runs % len(self._latencies_ns)])
        if leak := self._script.get("leak_bytes", 0):
            # Written: pages that nobody has touched are in no resident memory.
            self._leaked.append(bytearray(b"\1") * leak)
        fail = self._script.get("fail")
        if fail and self._runs >= fail["at"] and fail.get("batch", self._batch) == self._batch:
            _fail(fail)
        stall = self._script.get("stall")
        if stall and self._runs == stall["at"]:
            deadline_ns += int(stall["ms"] * 1e6)
        self._runs += 1
        first = next(iter(feeds.values()))
        outputs = [self._output(t, first) for t in self._script["outputs"].values()]
        while now_ns() < deadline_ns:
            pass
        return outputs

    def another(self) -> Self:
        return type(self)(self._model, self._script, self._options)

    def details(self) -> dict[str, str]:
        return {"runtime": "fake", "threads": str(self._threads)}

    def close(self) -> None:
        self._latencies_ns = [0]

    def _output(self, tensor: dict[str, Any], first: npt.NDArray[Any]) -> npt.NDArray[Any]:
        shape = (len(first), *tensor["shape"][1:])
        dtype = tensor.get("dtype", "float32")
        values = tensor.get("values", 0)
        if values == "channel_mean":
            return np.broadcast_to(first.mean(axis=(2, 3)), shape).astype(dtype)
        return np.broadcast_to(np.asarray(values, dtype), shape).copy()

    def _specs(self, side: str) -> list[TensorSpec]:
        return [
            TensorSpec(
                n, tuple(self._batch if isinstance(d, str) else d for d in t["shape"]), t.get("dtype", "float32")
            )
            for n, t in self._script[side].items()
        ]


def _fail(fail: dict[str, Any]) -> None:
    how = fail["how"]
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "hang":
        time.sleep(3600)
    elif how == "exit":
        os._exit(7)
    raise CellError(fail.get("message", "the script says so"))
