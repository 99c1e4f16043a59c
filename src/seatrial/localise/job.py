"""A search inside two models in a process of its own: a model that nobody has cut up yet may crash it, or take all memory.

For: `models`, which everything above calls. Not for: the search (search.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from seatrial.errors import BrokenProcessError, DataError, ModelError, UsageError, error_of, option
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.process import run_job
from seatrial.jobs.workload import STRICT, ModelWorkload, PipelineWorkload
from seatrial.localise.result import InsideModel
from seatrial.model.file import FAKE_SUFFIX, ModelInfo, inspect_model
from seatrial.model.fitting import example_shape
from seatrial.runtimes.choice import BackendChoice, choice_of

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
MADE_UP, TIMEOUT_S, BUDGET_BYTES = 2, 600.0, 512 << 20
FEEDS = "feeds.npz"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class InsideTask:
    """workload: A, and its input shapes; other: B. pipeline: whose pictures and preprocessing give A's inputs; else feeds:
    names of arrays in the folder's feeds.npz, by input, of each image; else made up. count: of inputs."""

    workload: ModelWorkload
    other: ModelWorkload
    pipeline: PipelineWorkload | None = None
    feeds: tuple[dict[str, str], ...] = ()
    count: int = MADE_UP
    budget_bytes: int = BUDGET_BYTES


def models(
    a: Path,
    b: Path,
    *,
    backends: tuple[str | BackendChoice, str | BackendChoice] = ("onnxruntime-cpu", "onnxruntime-cpu"),
    feeds: Sequence[Feeds] = (),
    pipeline: PipelineWorkload | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    count: int = MADE_UP,
    threads: int = 1,
    budget_bytes: int = BUDGET_BYTES,
    timeout_s: float = TIMEOUT_S,
    tell: Tell = lambda _step, _share: None,
) -> InsideModel:
    """Where two models part inside: two files, or one file on two backends.

    feeds: arrays by A's input names, of each image. pipeline: in their place, whose pictures and preprocessing give `count` of
    them. Without either, `count` made-up ones of `shapes`, where the file leaves those open. budget_bytes: of tensors at once.

    Raises:
        ModelError: a model cannot be read or run.
        DataError: feeds that lack an input, or none at all.
        BackendUnavailableError: a backend is not here.
    """
    infos = inspect_model(a), inspect_model(b)
    for info in infos:
        if info.path.name.endswith(FAKE_SUFFIX):
            raise UsageError(f"{info.path}: expected an ONNX model, got the fake backend's script, which has no graph")
    given = [_checked(infos[0], f) for f in feeds]
    sizes = {name: array.shape for name, array in given[0].items()} if given else dict(shapes or {})
    a_side = workload_of(infos[0], backends[0], threads, sizes)
    b_side = workload_of(infos[1], backends[1], threads, {}, guessed=False)
    with tempfile.TemporaryDirectory(prefix="seatrial-inside-") as folder:
        names = tuple({name: f"{i}.{j}" for j, name in enumerate(f)} for i, f in enumerate(given))
        if given:
            arrays = {key: f[name] for f, keys in zip(given, names, strict=True) for name, key in keys.items()}
            np.savez(Path(folder) / FEEDS, allow_pickle=False, **arrays)
        task = InsideTask(
            workload=a_side,
            other=b_side,
            pipeline=None if given else pipeline,
            feeds=names,
            count=max(1, count),
            budget_bytes=budget_bytes,
        )
        ended = run_job(JOB, task, Path(folder), timeout_s, tell, time_option=option("max_time"))
    if ended.answer is None:
        assert ended.failure is not None
        raise error_of(ended.failure, "", BrokenProcessError)
    return ended.answer


def _checked(info: ModelInfo, feeds: Feeds) -> dict[str, Array]:
    missing = [i.name for i in info.inputs if i.name not in feeds]
    if missing:
        raise DataError(f"{info.path}: no values for input {', '.join(missing)}; give an array for each input of A")
    return {i.name: np.ascontiguousarray(feeds[i.name]) for i in info.inputs}


def _shapes(info: ModelInfo, given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Of each input: as given, as the file fixes it, or one that goes through the graph."""
    found: dict[str, tuple[int, ...]] = {}
    for tensor in info.inputs:
        fixed = tuple(d for d in tensor.shape if isinstance(d, int))
        whole = tensor.ranked and len(fixed) == len(tensor.shape)
        found[tensor.name] = given.get(tensor.name) or (fixed if whole else example_shape(info, tensor, 1, found))
        if not tensor.fits(found[tensor.name]):
            shown = "x".join(map(str, found[tensor.name]))
            raise ModelError(f"input {tensor} takes no {shown}; give {option('shape')} with its own", subject=info.path)
    return found


def workload_of(
    info: ModelInfo,
    backend: str | BackendChoice,
    threads: int,
    shapes: Mapping[str, tuple[int, ...]],
    guessed: bool = True,
) -> ModelWorkload:
    """guessed: whether shapes that are open and not given are made up too; else they are A's."""
    return ModelWorkload(
        model=str(info.path.absolute()),
        model_info=replace(info, path=info.path.absolute()),
        backend=choice_of(backend),
        precision=precision_of(info),
        threads=threads,
        input_shapes=_shapes(info, shapes) if guessed else {},
    )


def precision_of(info: ModelInfo) -> str:
    """What the file computes in, in the words of docs/precision.md."""
    held = {"float16": "fp16", "bfloat16": "bf16"}.get(info.weights, info.arithmetic)
    return held or "fp32"


def look_inside(task: InsideTask, folder: Path, tell: Tell) -> InsideModel:
    """The job's own work."""
    from seatrial.localise.graph import read_graph
    from seatrial.localise.scratch import Scratch
    from seatrial.localise.search import search
    from seatrial.localise.taps import Side

    tell("reading both models", 0.0)
    feeds = feeds_of(task, folder)
    scratch = Scratch(folder)
    a, b = (Side(read_graph(Path(w.model)), w.backend, scratch, w.threads) for w in (task.workload, task.other))
    precisions = task.workload.precision, task.other.precision
    return search(a, b, feeds, precisions, task.budget_bytes, tell)


def feeds_of(task: InsideTask, folder: Path) -> list[dict[str, Array]]:
    from seatrial.model.made_up import made_up

    if task.feeds:
        with np.load(folder / FEEDS, allow_pickle=False) as arrays:
            return [{name: arrays[key] for name, key in f.items()} for f in task.feeds]
    if task.pipeline is not None:
        return pictures(task.pipeline, task.count)
    dtypes = {i.name: i.dtype for i in task.workload.model_info.inputs}
    shapes = task.workload.input_shapes
    return [{name: made_up(shape, dtypes[name], seed) for name, shape in shapes.items()} for seed in range(task.count)]


def pictures(w: PipelineWorkload, count: int) -> list[dict[str, Array]]:
    """What goes into the pipeline's model for so many of its pictures, spread over all of them."""
    from seatrial.jobs.opened import build, image_bytes

    pipeline, data = build(w), image_bytes(w)
    found = []
    for index in np.unique(np.linspace(0, len(data) - 1, min(count, len(data))).astype(int)):
        slot = pipeline.allocate(w.batch)
        pipeline.preprocess([pipeline.decode(data[int(index)])] * w.batch, slot)
        found.append(slot)
    if not found:
        raise DataError("there is no picture to feed both models with; name at least one")
    return found


JOB = Job("seatrial.localise.job", InsideTask, InsideModel, look_inside, timed=False)
