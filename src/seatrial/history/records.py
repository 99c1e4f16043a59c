"""The record of a run, schema seatrial.record/2. Base units; every value carries its interval, count and warnings.

For: the shape of record.json and of a cell's own file. Not for: where they lie (store.py).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seatrial.units import format_seconds
from seatrial.warning import Warning

SCHEMA: Literal["seatrial.record/2"] = "seatrial.record/2"
RUN_SCHEMA: Literal["seatrial.run/2"] = "seatrial.run/2"
CELL_SCHEMA = "seatrial.cell/2"
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Frozen(BaseModel):
    """Keys that this version does not know are passed over: a later one may add some without a new number."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Measured(Frozen):
    """interval's ends may be None where the sample cannot support them; a warning says how many samples would."""

    value: float
    unit: str
    interval: tuple[float | None, float | None] | None = None
    confidence: float | None = None
    n: int = 1
    n_eff: int = 1
    warnings: tuple[Warning, ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """The interval's; the value itself for one that is not known."""
        low, high = self.interval or (None, None)
        return (self.value if low is None else low), (self.value if high is None else high)

    @property
    def positive_interval(self) -> tuple[float, float] | None:
        """None where an end is not known, or at zero or below, which noise may make of a mean's."""
        low, high = self.interval or (None, None)
        return (low, high) if low is not None and high is not None and 0 < low <= high else None


class StageSummary(Frozen):
    """One stage of one cell. Times are of a whole batch. `share` is the stage's part of the end-to-end total."""

    mean: Measured
    p50: Measured
    p90: Measured
    p95: Measured
    p99: Measured
    share: float


class TensorDifference(Frozen):
    """One raw output, or one part of it that means one thing ('output0 scores'), against the reference's.

    share_outside: elements beyond the tolerance; None where elementwise closeness is not asked for. sqnr_db is None where
    there is no noise (max_abs is 0) or no signal (the reference is zero).
    """

    name: str
    max_abs: float
    mean_abs: float
    cosine: float | None
    sqnr_db: float | None
    share_outside: float | None
    nan_mismatch: bool
    variation_db: float | None = None
    """The reference's variance over the mean squared error: at 0 dB a constant would do as well."""
    mean_relative: float | None = None
    """Mean |Δ| over the reference's mean size."""
    reference_max_abs: float | None = None
    elements: int | None = None
    flattened: int = 0
    """Rows along one axis that vary in the reference and are constant here; counted where a tenth of them is."""
    lost_rows: int = 0
    """The same of rows of whose variation less than 3 dB is left."""
    unit_range: bool = False
    """Values are probabilities: of below 0.05 on both sides there is nothing to see."""


class Floor(Frozen):
    """The reference against itself, run once more: rebuilt alike, or at another batch size or thread count."""

    what: str
    rebuilt: bool
    tensors: tuple[TensorDifference, ...] = ()
    problem: str = ""


class ParityResult(Frozen):
    """This cell against a reference cell: its own pipeline's (`parity`), or the reference pipeline's (`across`).

    note: why nothing could be compared; tensors_note: why the raw outputs could not.
    """

    reference: str
    rtol: float | None
    atol: float | None
    tensors: tuple[TensorDifference, ...] = ()
    agreement: float | None = None
    agreement_unit: str = ""
    least_agreement: float | None = None
    worst_images: tuple[str, ...] = ()
    agreement_interval: tuple[float | None, float | None] | None = None
    """One-sided bounds at 95 % each, from so many results."""
    agreement_n: float = 0.0
    agreement_of: str = ""
    """What was counted, and how many of it: boxes, images."""
    matched: str = ""
    """3 of 3 boxes matched, 1 extra in night.jpg; 7 images empty on both sides."""
    reference_empty: bool = False
    """The reference detects nothing anywhere, or answers the same for every image: there is nothing to agree with."""
    note: str = ""
    tensors_note: str = ""
    tolerance_from: str = ""
    """Where rtol and atol come from: the plan, or the table, or three times the floor where that is more."""
    mean_rtol: float | None = None
    floor: tuple[Floor, ...] = ()
    least_sqnr_db: float | None = None
    failing_sqnr_db: float | None = None
    """At or above the former passes, below the latter fails; between them nobody can say."""
    least_cosine: float | None = None
    sqnr_from: str = ""
    decoded: bool = False
    """Whether there are decoded results, which then decide about the raw outputs that are not destroyed."""
    special_images: int = 0
    """Images, of all, with NaN or infinity on one side only; and in `special_example` which."""
    special_example: str = ""
    one_sided: int = 0
    """Images of which one side alone gave a result; counted as disagreement."""
    both_none: int = 0
    """Images of which neither side gave a result; counted as agreement."""


class EngineComparison(Frozen):
    """One stage with native and with reference kernels, on the cell's own images and outputs, in interleaved rounds.

    difference: the largest absolute one between the two input tensors; None for decoded results. same: bit for bit.
    """

    native: Measured
    reference: Measured
    same: bool
    difference: float | None = None


class Spike(Frozen):
    """A request far slower than the rest, and what the kernel counted while it ran. at_s: since the first request."""

    at_s: float
    duration_s: float
    times_median: float
    causes: tuple[str, ...]


class RatePoint(Frozen):
    """One offered rate of a search. holds: whether the bound is held: yes, no, or too few requests to say."""

    offered_per_s: float
    achieved_per_s: float
    n: int
    unserved: int
    p50: Measured
    p90: Measured
    p99: Measured
    tail: Measured
    """The percentile that the bound names. Requests that were never served count as slower than any other."""
    holds: Literal["yes", "no", "unsure"]


class ShapeResult(Frozen):
    """One shape of a mix. first: the first run of this shape, with whatever it had to allocate; of the shape that is named
    first it is the process's first run too, and of the others what the shapes before them left to allocate."""

    shape: str
    weight: float
    first: Measured
    p50: Measured
    p99: Measured


class PythonPath(Frozen):
    """The same model by the runtime's Python binding, in turns with the native loop; same_outputs: bit for bit."""

    same_outputs: bool
    native_p50_s: float
    python_p50_s: float


class LoadResult(Frozen):
    """How requests came, and what only a load can show. unserved: requests that nobody had taken when the time was up."""

    scenario: str
    clients: int = 1
    rate_per_s: float | None = None
    arrivals: str = ""
    gap_s: float = 0.0
    requests_per_s: Measured | None = None
    unserved: int = 0
    overloaded: bool = False
    """The clients had more to do than time: latencies say how long the load lasted."""
    ended: str = ""
    called: str = ""
    """native: without the interpreter; python: from Python."""
    shapes: tuple[ShapeResult, ...] = ()
    bound_s: float | None = None
    bound_quantile: float | None = None
    """The latency that a search asked for, and the share of the requests that must hold it."""
    found_rate: Measured | None = None
    """The highest rate that held the bound, again on new requests; and as its interval's end the lowest that was shown not
    to."""
    curve: tuple[RatePoint, ...] = ()
    percentiles: dict[str, Measured] = {}
    """Those that were asked for by name, and in `refused` why one cannot be given."""
    refused: dict[str, str] = {}
    python_path: PythonPath | None = None
    official: dict[str, Any] = {}
    """What MLPerf LoadGen itself printed, where it ran the load."""

    @property
    def bound(self) -> str:
        """As it is asked for: 25.0 ms@p90."""
        if self.bound_s is None or self.bound_quantile is None:
            return ""
        return f"{format_seconds(self.bound_s)}@p{self.bound_quantile * 100:g}"


class Measurement(Frozen):
    """What one process measured. None where nobody lived to tell, or where it is not one figure: the throughput of a search."""

    stages: dict[str, StageSummary]
    throughput: Measured | None = None
    peak_memory: Measured | None = None
    load_time: Measured | None = None
    first_inference: Measured | None = None
    cold_start: Measured | None = None
    """load_time and first_inference."""
    model_size: Measured | None = None
    warm_up: int = 0
    converged: bool = False
    affinity: tuple[int, ...] = ()
    io_policy: str = ""
    backend_details: dict[str, str] = {}
    engines: dict[str, EngineComparison] = {}
    """What the other kernels would have cost: stages preprocess and postprocess, where they are built in."""
    nan_outputs: tuple[str, ...] = ()
    """Outputs that held a NaN on some image."""
    doubt: str = ""
    """Why its latencies may not be judged, such as stages that do not add up; empty where they may."""


class Accuracy(Frozen):
    """Against the truth. value is None where it is undefined, or of another task, and `note` says so."""

    metric: str = ""
    value: Measured | None = None
    note: str = ""
    by_tag: dict[str, float | None] = {}
    """None where it is undefined: nothing to be found on the tag's images."""


class Noise(Frozen):
    """What disturbed the measurement while it ran: see docs/records.md. None where this machine does not tell."""

    watched_s: float
    cores: tuple[int, ...]
    cpu_s: float | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    run_queue_wait_s: float | None = None
    other_load_cores: float | None = None
    steal_s: float | None = None
    throttled_s: float | None = None
    thermal_events: int | None = None
    cpu_pressure_s: float | None = None
    frequency_mhz: tuple[float, float, float] | None = None
    clock_jump_s: float | None = None
    suspended_s: float | None = None
    own_cost_s: float = 0.0
    disturbances: tuple[Warning, ...] = ()
    spikes: tuple[Spike, ...] = ()


class CellRecord(Frozen):
    id: str
    pipeline: str
    backend: str
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
    def configuration(self) -> str:
        """'onnxruntime-cpu fp32 b1 t1', with what the file holds where that is something else than fp32."""
        words = configuration(self.id)
        return words.replace(" fp32 ", f" fp32 ({self.weights} in the file) ", 1) if self.weights else words


def configuration(cell_id: str) -> str:
    """'onnxruntime-cpu fp32 b1 t1' of 'baseline.onnxruntime-cpu.fp32.b1.t1'. A pipeline's name may hold dots.

    A load stands behind a '@': 'bench.onnxruntime-cpu.fp32.b1.t1@server-20'.
    """
    cell_id, _, load = cell_id.partition("@")
    if load:
        return f"{configuration(cell_id)} {load}"
    return " ".join(cell_id.rsplit(".", 4)[1:]) if cell_id.count(".") >= 4 else cell_id


class NoiseFloor(Frozen):
    """What the medians of one cell differed by in a second process: what no budget on time can tell apart.

    shares: by stage, the further end of the interval of both medians' ratio, less one. at_least: stages of which a median has
    no interval; their shares are what was seen, and the floor is higher.
    """

    cell: str
    first: Measured
    again: Measured
    shares: dict[str, float]
    at_least: tuple[str, ...] = ()


class Decision(Frozen):
    """One check: what was asked, what came, and why that is the verdict."""

    check: str
    verdict: Verdict
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    reason: str
    cell: str = ""
    against: str = ""
    """The reference cell, where the value is of two cells."""
    group: str = ""
    evidence: str = ""


ComparisonVerdict = Literal["REGRESSION", "IMPROVED", "EQUIVALENT", "INCONCLUSIVE"]


class Pair(Frozen):
    """One round of fresh processes. effect: ln of B over the mean of A and A again; control: ln(A again / A), what
    nothing at all looks like.

    within_se: standard error of the effect from its own blocks; of a tail, which is not in a block, None. values: the
    metric of each side in seconds; launched: the sides in the order in which their processes were started; disturbances:
    what else the machine did.
    """

    effect: float
    control: float | None
    within_se: float | None
    values: dict[str, float]
    launched: tuple[str, ...]
    burst: int
    blocks: int
    wall_s: float
    disturbances: tuple[Warning, ...] = ()


class AskedSide(Frozen):
    """What was asked of one side. python: the interpreter that ran it; native_loop: whether it was called without one."""

    batch: int
    threads: int
    backend: str
    python: str
    input_shapes: dict[str, tuple[int, ...]]
    native_loop: bool


class Asked(Frozen):
    """The question behind a comparison in lock-step."""

    max_time_s: float
    confidence: float
    seed: int
    a: AskedSide
    b: AskedSide


class Comparison(Frozen):
    """B against A in one metric and stage. `change` is B / A - 1 with its interval: above 0, B takes longer."""

    a: str
    b: str
    metric: str
    stage: str
    design: Literal["lock-step", "separate runs"]
    verdict: ComparisonVerdict
    reason: str
    margin: float
    change: Measured
    a_value: Measured
    b_value: Measured
    p_value: float
    p_adjusted: float
    """Benjamini-Hochberg over the metrics that were judged together."""
    detectable: float | None = None
    """The least change that these pairs would have told from none four times in five."""
    pairs_sd: float | None = None
    noise_floor: float | None = None
    """The same of A against A, in the same rounds: no margin below it can be judged."""
    noise_sd: float | None = None
    control: Measured | None = None
    """A against itself: what the harness sees where nothing differs."""
    launched_second: float | None = None
    """By what share the side whose process is started later is slower, or faster where negative."""
    pairs: tuple[Pair, ...] = ()
    asked: Asked | None = None
    details: dict[str, dict[str, str]] = {}
    warnings: tuple[Warning, ...] = ()


class PlanSection(Frozen):
    """The plan as it was given and as it was resolved; empty of a run without one. changes: what was laid over it."""

    path: str = ""
    digest: str = ""
    text: str = ""
    resolved: dict[str, Any] | None = None
    changes: dict[str, Any] = {}


class ImagesSection(Frozen):
    """What was measured on. made_up_inputs: shapes by input name, where there were no images."""

    count: int
    digest: str = ""
    names: tuple[str, ...] = ()
    sizes_hw: tuple[tuple[int, int], ...] = ()
    annotations: str | None = None
    truth_digest: str = ""
    made_up_inputs: dict[str, tuple[int, ...]] = {}


class ModelSection(Frozen):
    """A model's file. inputs, outputs: name, type and shape, for people."""

    path: str
    digest: str
    size_bytes: int
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    labels: tuple[str, ...] | None = None


class Environment(Frozen):
    """The machine, before the first cell. What else it says is kept as it is: see docs/records.md."""

    model_config = ConfigDict(frozen=True, extra="allow")

    machine: str = ""
    fingerprint: str = ""
    """Of machines with one fingerprint, times may be compared."""
    cpu: str = ""
    cores: int = 0
    python: str = ""
    packages: dict[str, str] = {}
    memory_bytes: int = 0
    disturbances: tuple[Warning, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class Picture(Frozen):
    """One image as one pipeline saw it. file: below the run's folder."""

    image: str
    pipeline: str
    file: str
    caption: str


class RunStart(Frozen):
    """run.json, written first: what --resume compares, and what is known of a run without a record.

    subject: a trial's plan, a bench's model, or what is compared. environment: of a trial, before its first cell.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_: Literal["seatrial.run/2"] = Field(RUN_SCHEMA, alias="schema")
    kind: Literal["trial", "bench", "compare"]
    created: str
    subject: tuple[str, ...]
    identity: dict[str, Any] = {}
    environment: Environment | None = None


class Record(Frozen):
    # `schema` is pydantic's own word; the file says "schema".
    schema_: Literal["seatrial.record/2"] = SCHEMA
    id: str
    created: str
    kind: Literal["trial", "bench", "compare"] = "trial"
    status: Literal["complete", "interrupted"] = "complete"
    verdict: Verdict
    rules: str = ""
    """Which rules judged it, such as seatrial.rules/2; records from before they had a name do not say."""
    wall_s: float
    plan: PlanSection
    images: ImagesSection
    models: dict[str, ModelSection]
    environment: Environment
    cells: tuple[CellRecord, ...]
    decisions: tuple[Decision, ...]
    comparisons: tuple[Comparison, ...] = ()
    noise_floor: NoiseFloor | None = None
    """Of a trial with budgets on time."""
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[Warning, ...] = ()

    def to_json(self) -> dict[str, Any]:
        data = self.model_dump(mode="json")
        return {"schema": data.pop("schema_"), **data}
