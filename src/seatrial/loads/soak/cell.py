"""A soak as one cell of a bench: the process, what it leaves behind, and the record, also where it was ended early."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seatrial.errors import ExitCode, Failure, ResultsError, count_of, option
from seatrial.history.records import CellRecord, Decision, LoadResult, Measured
from seatrial.history.run_folder import RunFolder
from seatrial.interrupts import interrupts_held
from seatrial.jobs.job import Tell
from seatrial.jobs.noise_fields import noise_of, runs_on_gpu
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.shared import SharedSamples, merged
from seatrial.jobs.summarise import changed_kernels, exact, measurement_of
from seatrial.jobs.workload import PipelineWorkload, Timing
from seatrial.loads.results import service_summary
from seatrial.loads.soak import job
from seatrial.loads.soak.limits import judge
from seatrial.loads.soak.results import I64, soak_result
from seatrial.loads.soak.task import IDLE_S, MOST_KEPT, SoakAnswer, SoakPlan, SoakTask
from seatrial.loads.soak.windows import Left, read_left
from seatrial.loads.subject import BenchSubject
from seatrial.loads.sweep import no_request
from seatrial.loads.task import Load
from seatrial.machine.nvml import why_unread
from seatrial.stages import SERVICE
from seatrial.stats.means import mean_interval
from seatrial.stats.sample import CONFIDENCE
from seatrial.warning import Warning

# Of a day's soak the watch keeps no more readings than of half an hour's.
MOST_READINGS = 40_000


@dataclass(frozen=True)
class Soaked:
    """failure: why it did not go to its end, None where it did."""

    cell: CellRecord
    decisions: tuple[Decision, ...]
    failure: Failure | None


def soak_cell(
    run: RunFolder, subject: BenchSubject, plan: SoakPlan, load: Load, cell_id: str, tell: Tell
) -> Soaked | Failure:
    """A Failure where it ended before anything was measured.

    Raises:
        UsageError: no request was done in the time.
        ResultsError: the folder takes no more, and nothing was measured.
        KeyboardInterrupt: before anything was measured.
    """
    w = subject.workload
    on_gpu = runs_on_gpu(w.backend.backend)
    gpu_missing = why_unread(w.backend.device_ordinal) if on_gpu else ""
    task = SoakTask(
        workload=w,
        load=load,
        stopping=replace(subject.stopping, max_time_s=plan.time_s, tails=(), whole_time=False),
        capacity=MOST_KEPT // w.clients,
        soak_s=plan.time_s,
        idle_s=IDLE_S if on_gpu and not gpu_missing else 0.0,
    )
    folder = run.work / cell_id
    shared = SharedSamples.create(w.clients, task.capacity, len(task.stages))
    watched = replace(job.JOB, watch_period_s=max(job.JOB.watch_period_s, plan.time_s / MOST_READINGS))
    try:
        timeout_s = plan.time_s * 1.5 + 900
        try:
            ended = run_job(watched, task, folder, timeout_s, tell, shared, option("soak"))
        except (KeyboardInterrupt, ResultsError) as e:
            if not read_left(folder, len(task.stages) + 2).start:
                raise
            stopped = Failure.of_text("interrupted", ExitCode.INTERRUPTED)
            ended = Ended(None, Failure.of(e) if isinstance(e, ResultsError) else stopped)
        left = _with_last_rows(read_left(folder, len(task.stages) + 2), merged(shared.read()))
    finally:
        shared.close()
    with interrupts_held():
        if why := subject.changed():
            ended = replace(ended, answer=None, failure=Failure.of_text(why, ExitCode.BAD_INPUT))
        if not len(left.rows):
            if ended.failure:
                return ended.failure
            raise no_request(plan.time_s)
        cell = _record(subject, task, cell_id, ended, left, on_gpu, gpu_missing)
        run.save_cell(cell, left.rows)
    assert cell.soak is not None
    return Soaked(cell, tuple(judge(plan.limits, cell.soak, cell_id, on_gpu)), ended.failure)


def _with_last_rows(left: Left, table: I64) -> Left:
    """And the requests that nobody had read yet when the process ended, where all requests are kept."""
    if left.start is None or left.start.share < 1:
        return left
    rows = np.unique(np.concatenate([left.rows, table]), axis=0)
    return replace(left, rows=rows)


def _record(
    subject: BenchSubject,
    task: SoakTask,
    cell_id: str,
    ended: Ended[SoakAnswer],
    left: Left,
    on_gpu: bool,
    gpu_missing: str,
) -> CellRecord:
    w, answer = task.workload, ended.answer
    longest_run = task.stopping.longest_run
    timing = answer.timing if answer else Timing(ended="died", warm_up=left.start.warm_up if left.start else 0)
    last = task.stopping.rule(task.stages).conclude(left.rows)
    timing = replace(timing, converged=last.enough, known_to=last.known_to)
    soak = soak_result(left, task.soak_s, ended.noise, on_gpu, gpu_missing, "" if answer else ended.reason)
    m = measurement_of(task.stages, left.rows, w.batch, answer.opened if answer else None, timing, task.stopping)
    changed = changed_kernels(task.stages, left.rows, answer.opened if answer else None)
    rate = _requests_per_s([x.requests / x.seconds for x in soak.windows])
    own = {SERVICE: service_summary(left.rows, longest_run)} if task.load.scenario == "server" else {}
    measurement = m.model_copy(
        update={
            "stages": m.stages | own,
            "throughput": _images(rate, w.batch),
            "peak_memory": exact(answer.peak_memory_bytes, "B") if answer else None,
            "model_size": exact(subject.model_bytes, "B"),
            "affinity": answer.affinity if answer else (),
            "doubt": m.doubt if w.clients == 1 else changed.text if changed else "",
        }
    )
    noise = noise_of(ended.noise, left.rows, task.load.scenario == "server", not task.load.mix, w.backend.backend)
    record = CellRecord(
        id=cell_id,
        pipeline=subject.name,
        backend=w.backend.label,
        backend_kind=w.backend.backend,
        backend_options=dict(w.backend.options),
        precision=w.precision,
        weights=w.model_info.weights if w.precision == "fp32" else "",
        batch=w.batch,
        threads=w.threads,
        engine=w.spec.engine if isinstance(w, PipelineWorkload) else "native",
        status="ok",
        measurement=measurement,
        load=_load_result(task, answer, rate),
        soak=soak,
        noise=noise,
        warnings=(
            *_unserved(answer),
            *((changed,) if changed else ()),
            *(noise.disturbances if noise else ()),
            *ended.printed,
        ),
        last_output=ended.last_output,
        wall_s=ended.wall_s,
    )
    if answer:
        return record
    reason = f"{ended.reason}; the {count_of(soak.requests, 'request')} before it are kept"
    changes = {"status": "failed", "partial": True, "exit_code": ended.exit_code, "reason": reason}
    return record.model_copy(update=changes)


def _load_result(task: SoakTask, answer: SoakAnswer | None, rate: Measured | None) -> LoadResult:
    load = task.load
    return LoadResult(
        scenario=load.scenario,
        clients=task.workload.clients,
        rate_per_s=load.rate,
        arrivals=load.arrivals if load.scenario == "server" else "",
        gap_s=load.gap_s,
        requests_per_s=rate,
        unserved=answer.unserved if answer else 0,
        ended=answer.timing.ended if answer else "died",
        called=answer.called if answer else "",
    )


def _unserved(answer: SoakAnswer | None) -> tuple[Warning, ...]:
    if not answer or not answer.unserved:
        return ()
    said = f"{count_of(answer.unserved, 'request')} were due in the time and not begun: the clients do not keep up"
    return (Warning("unserved", said),)


def _requests_per_s(rates: list[float]) -> Measured | None:
    """Of whole windows."""
    if len(rates) < 2:
        return None
    interval = mean_interval(rates)
    return Measured(
        value=float(np.mean(rates)),
        unit="requests/s",
        interval=interval,
        confidence=CONFIDENCE if interval else None,
        n=len(rates),
    )


def _images(rate: Measured | None, batch: int) -> Measured | None:
    if rate is None:
        return None
    ends = rate.interval
    interval = None if ends is None or None in ends else tuple(e * batch for e in ends if e is not None)
    return rate.model_copy(update={"value": rate.value * batch, "unit": "images/s", "interval": interval})
