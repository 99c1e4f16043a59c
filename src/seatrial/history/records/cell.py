"""One cell of a trial or bench, of the parts beside this file."""

from __future__ import annotations

from typing import Literal

from seatrial.history.records.load import LoadResult
from seatrial.history.records.measurement import Accuracy, Measurement, Noise, Spike, mostly_in
from seatrial.history.records.parity import ParityResult
from seatrial.history.records.soak import SoakResult
from seatrial.history.records.values import Frozen, StageSummary
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.told import UNTOLD
from seatrial.warning import Warning

CELL_SCHEMA = "seatrial.cell/2"


class CellRecord(Frozen):
    id: str
    pipeline: str
    backend: str
    backend_kind: str = ""
    """Which backend that is, where the plan calls it something else; records from before names do not say: it is `backend`."""
    backend_options: dict[str, bool | int | float | str] = {}
    precision: str
    weights: str = ""
    """What the file's arithmetic is in where precision says fp32, the file as it is, and that is not so: int8, float16."""
    batch: int
    threads: int
    engine: Literal["native", "reference"] = "reference"
    """Which kernels pre- and postprocessed here; records from before there were native ones do not say."""
    status: Literal["ok", "failed", "skipped"]
    reason: str = ""
    exit_code: int = 0
    last_output: str = ""
    partial: bool = False
    """Of a failed cell: its measurement and samples are those until it ended. They meet no budget."""
    measurement: Measurement | None = None
    accuracy: Accuracy | None = None
    """Where the plan names annotations."""
    parity: ParityResult | None = None
    across: ParityResult | None = None
    seen: str = ""
    """What the pipeline found on all images, in words."""
    load: LoadResult | None = None
    soak: SoakResult | None = None
    noise: Noise | None = None
    warnings: tuple[Warning, ...] = ()
    wall_s: float = 0.0

    @property
    def measured(self) -> Measurement:
        """Of a cell that has one, as all have that ran to their end."""
        if self.measurement is None:
            raise ValueError(f"{self.id}: expected a cell that was measured, got one that was {self.status}")
        return self.measurement

    @property
    def stages(self) -> dict[str, StageSummary]:
        return self.measurement.stages if self.measurement else {}

    @property
    def spikes(self) -> tuple[Spike, ...]:
        return self.noise.spikes if self.noise else ()

    @property
    def accuracy_note(self) -> str:
        """Why there is no accuracy, though the plan names annotations."""
        return self.accuracy.note if self.accuracy else ""

    @property
    def ran_in(self) -> str:
        """'ran in fp32', of the type in which most products compute, where it is not what was asked for; 'ran in: not told'
        where the runtime does not say; else ''. Of fp32, the file as it is, only where it is float32, and a type is told."""
        if not self.measurement or (self.precision == "fp32" and self.weights):
            return ""
        found = mostly_in(self.measurement.computed_in, self.precision)
        if found == UNTOLD:
            return "" if self.precision == "fp32" else "ran in: not told"
        return found and f"ran in {found}"

    @property
    def backend_words(self) -> str:
        """'openvino-cpu:hint=latency', where `backend` does not say as much; else ''."""
        words = BackendChoice(self.backend_kind or self.backend, options=self.backend_options).words()
        return "" if words == self.backend else words

    @property
    def configuration(self) -> str:
        """'onnxruntime-cpu fp32 b1 t1', with what the file holds where that is something else than fp32."""
        words = configuration(self.id)
        if ran := self.ran_in:
            return words.replace(f" {self.precision} ", f" {self.precision} ({ran}) ", 1)
        return words.replace(" fp32 ", f" fp32 ({self.weights} in the file) ", 1) if self.weights else words


def configuration(cell_id: str) -> str:
    """'onnxruntime-cpu fp32 b1 t1' of 'baseline.onnxruntime-cpu.fp32.b1.t1'. A pipeline's name may hold dots.

    A load stands behind a '@': 'bench.onnxruntime-cpu.fp32.b1.t1@server-20'.
    """
    cell_id, _, load = cell_id.partition("@")
    if load:
        return f"{configuration(cell_id)} {load}"
    return " ".join(cell_id.rsplit(".", 4)[1:]) if cell_id.count(".") >= 4 else cell_id
