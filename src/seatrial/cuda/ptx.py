"""The kernels that ship as PTX: the text that the driver compiles when it is loaded. Not for: loading it (_native.cuda)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from seatrial.errors import BackendUnavailableError


@dataclass(frozen=True)
class Ptx:
    """text: what Module takes; the digests of it and of the sources it was built from; the compiler that built it."""

    text: str
    sha256: str
    source_sha256: str
    nvcc: str


@cache
def preprocess_ptx() -> Ptx:
    """The preprocessing kernels. BackendUnavailableError where the file is not the one that was built."""
    folder = files("seatrial.cuda")
    try:
        text = folder.joinpath("preprocess.ptx").read_bytes()
        facts = cast("dict[str, str]", json.loads(folder.joinpath("preprocess.json").read_bytes()))
    except (OSError, ValueError) as e:
        raise BackendUnavailableError(f"preprocess.ptx: the kernels cannot be read ({e}); reinstall seatrial") from e
    found = hashlib.sha256(text).hexdigest()
    if found != facts["ptx_sha256"]:
        raise BackendUnavailableError(
            f"preprocess.ptx: expected the kernels of sha256 {facts['ptx_sha256'][:12]}, got {found[:12]}; reinstall seatrial"
        )
    return Ptx(text.decode("ascii"), found, facts["source_sha256"], facts["nvcc"])
