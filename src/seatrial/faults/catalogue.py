"""All known mistakes by their stable names, in the catalogue's order. Not for: trying them on a pipeline (diagnosis)."""

from __future__ import annotations

from seatrial.faults.before import DECODING, PLACES, VALUES
from seatrial.faults.behind import RESULTS, RUNTIME
from seatrial.faults.fault import Fault
from seatrial.faults.names import NAMES

_BY_NAME = {f.name: f for f in (*DECODING, *PLACES, *VALUES, *RUNTIME, *RESULTS)}
FAULTS: dict[str, Fault] = {name: _BY_NAME[name] for name in NAMES}
