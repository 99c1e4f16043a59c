"""One model in one configuration, on made-up inputs, in a fresh process: `seatrial bench MODEL`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from seatrial.backends import IO_POLICY, availability
from seatrial.errors import BackendUnavailableError, CellError, ModelError, SeatrialError, UsageError
from seatrial.history.records import CellRecord, Record
from seatrial.history.store import new_run
from seatrial.plan.model_file import inspect_model
from seatrial.timing.environment import environment, machine_name, usable_cores
from seatrial.trial.process import Ended, run_worker
from seatrial.trial.samples import load_samples, save_samples
from seatrial.trial.shapes import fixed_shapes
from seatrial.trial.summarise import measured_fields
from seatrial.trial.task import Task


def run_bench(
    model: Path, backend: str, *, batch: int, threads: int, max_time_s: float, shapes: dict[str, tuple[int, ...]],
    results: Path, tell: Callable[[str, float], None],
) -> Record:  # fmt: skip
    """Measures the model alone: one stage, `infer`. The record is written like a trial's.

    Raises:
        ModelError: the model can't be read, or has a dynamic dimension that neither batch nor `shapes` fixes.
        BackendUnavailableError: the backend is not on this machine.
        CellError: the process died; the message has its last words.
    """
    status = availability(backend)
    if not status.ok:
        raise BackendUnavailableError(f"backend {backend}: {status.reason}; {status.cure}")
    cores = len(usable_cores())
    if threads > cores:
        raise UsageError(f"--threads: expected at most {cores}, the cores that this process may use, got {threads}")
    info = inspect_model(model)
    input_shapes = fixed_shapes(info, batch, shapes)
    # A given shape says the batch too: images a run is what throughput counts.
    batch = max([batch, *(shape[0] for shape in shapes.values() if shape)])
    run = new_run(results, machine_name())
    created = datetime.now(UTC).isoformat(timespec="seconds")
    machine = environment()
    run.save_start({"created": created, "bench": str(model), "model_digest": info.digest})
    cell_id = f"bench.{backend}.fp32.b{batch}.t{threads}"
    task = Task(
        kind="bench", model=str(model.absolute()), model_info=info, backend=backend, batch=batch, threads=threads,
        max_time_s=max_time_s,
        input_shapes=input_shapes, answer=str(run.work / cell_id),
    )  # fmt: skip
    try:
        ended = run_worker(task, max_time_s * 10 + 600, tell)
        if ended.answer is None:
            raise _error(model, ended)
    except BaseException:
        # There is nothing to resume in a single measurement.
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    table = load_samples(run, cell_id)
    cell = CellRecord(
        id=cell_id, pipeline="bench", backend=backend, precision="fp32", batch=batch, threads=threads, status="ok",
        io_policy=IO_POLICY, wall_s=ended.wall_s, **measured_fields(ended.answer, table, batch, info.size_bytes),
    )  # fmt: skip
    run.save_cell(cell)
    save_samples(run, [cell])
    record = Record(
        id=run.path.name,
        created=created,
        kind="bench",
        verdict="PASS",
        wall_s=round(ended.wall_s, 2),
        plan={"path": "", "digest": "", "text": "", "resolved": None, "changes": {}},
        images={"count": 0, "made_up_inputs": {n: list(s) for n, s in input_shapes.items()}},
        models={
            "bench": {
                "path": str(model), "digest": info.digest, "size_bytes": info.size_bytes, "opset": info.opset,
                "inputs": [str(i) for i in info.inputs], "outputs": [str(o) for o in info.outputs], "labels": None,
            }
        },
        environment=machine,
        cells=(cell,),
        decisions=(),
    )  # fmt: skip
    run.save_record(record)
    shutil.rmtree(run.work, ignore_errors=True)
    return record


def _error(model: Path, ended: Ended) -> SeatrialError:
    kinds = {4: ModelError, 5: BackendUnavailableError}
    text = ended.reason if str(model) in ended.reason else f"{model}: {ended.reason}"
    return kinds.get(ended.exit_code, CellError)(text)
