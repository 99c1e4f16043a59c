"""Records: what runs leave, as frozen and versioned data. Schema seatrial.record/2, see docs/records.md.

For: the shape of record.json, run.json and a cell's own file. Not for: where they lie (run_folder.py), or reading and writing.
"""

from seatrial.history.records.cell import CELL_SCHEMA, CellRecord, configuration
from seatrial.history.records.comparison import Asked, AskedSide, Comparison, ComparisonVerdict, Pair
from seatrial.history.records.diagnosis import PARITY_SCHEMA, Diagnosis, ParityRecord, StageDifference
from seatrial.history.records.harness import Harness
from seatrial.history.records.load import LoadResult, PythonPath, RatePoint, ShapeResult
from seatrial.history.records.measurement import (
    Accuracy,
    ClassFigure,
    EngineComparison,
    GpuClocks,
    Measurement,
    Noise,
    Spike,
    mostly_in,
    said_of_types,
    share_untold,
)
from seatrial.history.records.parity import Floor, ParityResult, TensorDifference
from seatrial.history.records.record import (
    CONVERSIONS,
    RUN_SCHEMA,
    SCHEMA,
    Decision,
    NoiseFloor,
    Record,
    RunStart,
    Verdict,
)
from seatrial.history.records.soak import SoakEnergy, SoakFigure, SoakResult, SoakWindow
from seatrial.history.records.subject import (
    ClassColour,
    Environment,
    ImagesSection,
    ModelSection,
    Picture,
    PlanSection,
)
from seatrial.history.records.values import Frozen, Measured, StageSummary

__all__ = [
    "Accuracy",
    "Asked",
    "AskedSide",
    "CELL_SCHEMA",
    "CellRecord",
    "ClassColour",
    "ClassFigure",
    "Comparison",
    "ComparisonVerdict",
    "Decision",
    "Diagnosis",
    "EngineComparison",
    "Environment",
    "Floor",
    "Frozen",
    "GpuClocks",
    "Harness",
    "ImagesSection",
    "LoadResult",
    "Measured",
    "Measurement",
    "ModelSection",
    "Noise",
    "NoiseFloor",
    "PARITY_SCHEMA",
    "Pair",
    "ParityRecord",
    "ParityResult",
    "Picture",
    "PlanSection",
    "PythonPath",
    "RUN_SCHEMA",
    "RatePoint",
    "Record",
    "RunStart",
    "SCHEMA",
    "ShapeResult",
    "SoakEnergy",
    "SoakFigure",
    "SoakResult",
    "SoakWindow",
    "Spike",
    "StageDifference",
    "StageSummary",
    "TensorDifference",
    "Verdict",
    "configuration",
    "mostly_in",
    "said_of_types",
    "share_untold",
    "CONVERSIONS",
]
