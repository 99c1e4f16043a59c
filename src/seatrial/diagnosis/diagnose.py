"""Two pipelines held against each other stage by stage, and each difference explained: the whole of it, in one process.

For: the order of things. Not for: starting the process (job.py), or saying it (report).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seatrial.diagnosis.candidates import has_candidates
from seatrial.diagnosis.distance import mean
from seatrial.diagnosis.explanation import Untried
from seatrial.diagnosis.fit import Fitted, fitted
from seatrial.diagnosis.limits import Limits
from seatrial.diagnosis.mutation import with_mutations
from seatrial.diagnosis.mutations.every import mutations_of
from seatrial.diagnosis.result_distance import scores_of
from seatrial.diagnosis.result_fits import FIT_IMAGES, RESULT_FITS
from seatrial.diagnosis.rounding import may_be_rounding
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.search import LEAST_EXPLAINED, SHARE_ALONE, Found, Search
from seatrial.diagnosis.shift_fits import SHIFT
from seatrial.diagnosis.stages import CANDIDATES, DECODED, ENCODED, OF_RESULTS, OUTPUTS, RESIZED, RESULTS, in_order
from seatrial.diagnosis.stretch import CANNOT, Stretch, check_names
from seatrial.diagnosis.too_little import named_by_chance
from seatrial.diagnosis.way import Way
from seatrial.errors import SeatrialError
from seatrial.kernels.arguments import ArgumentError
from seatrial.pipeline.results import Result
from seatrial.taps.shown import Shown


@dataclass(frozen=True)
class Part:
    """One stretch, judged. distances: by image; differing: their indices, the most different first. found: None where nothing
    differs. way: the reference with what explains the difference in it. on_purpose: the models are two, whose outputs differ as
    they should. rounding: no known mistake explains the difference, and it is no more than another runtime's rounding makes.
    too_little: what is odd of the candidate, so that any of several mistakes may have made it.
    largest: max |Δ|, where there is one."""

    stretch: Stretch
    distances: Sequence[float]
    differing: tuple[int, ...]
    found: Found | None
    way: Way
    on_purpose: bool = False
    largest: float | None = None
    rounding: bool = False
    too_little: str = ""

    @property
    def diverges(self) -> bool:
        return (self.found is not None and not self.rounding) or self.on_purpose

    @property
    def is_unexplained(self) -> bool:
        """Where what came nearest says something: also of rounding for which time was up before it was known to be that."""
        if self.found is None or self.found.best is not None:
            return False
        return not self.rounding or self.found.out_of_time


@dataclass(frozen=True)
class Comparison:
    """All parts in order. reversed_at: stages at which the candidate has its channels in the other order than the reference.
    passed_over: stages that the reference cannot go on from, and why, as a sentence each."""

    names: list[str]
    reference_alone: list[str]
    candidate_alone: list[str]
    parts: list[Part]
    reversed_at: frozenset[str]
    limits: Limits
    wall_s: float
    passed_over: tuple[str, ...] = ()

    def reference_results(self, way: Way) -> Iterator[Result]:
        """The reference's own, image by image, from the encoded bytes."""
        stretch = self.parts[-1].stretch
        return (stretch.own(way, i, RESULTS).value for i in range(len(self.names)))


def compare(
    way: Way,
    encoded: Callable[[str], bytes],
    names: Sequence[str],
    shown: Shown,
    *,
    time_s: float,
    other_model: bool = False,
    limits: Limits = Limits(),
    colors: Mapping[str, str] | None = None,
    tell: Callable[[str, float], None] = lambda _step, _share: None,
) -> Comparison:
    """way: the reference. encoded: an image's bytes, by its name. time_s: from now on, for finding mistakes: what is not tried
    by then is left; comparing goes through every image at every stage, however long that takes. other_model: the candidate is
    known to run another model than the reference. limits: how far it may be from it. colors: of its decoded and resized images,
    as far as it says so."""
    began = time.monotonic()
    both, reference_alone, candidate_alone = check_names(names, shown)
    runner = Runner(lambda i: encoded(both[i]))
    reversed_at = _reversed_at(way, runner, both, shown, colors or {})
    stages = [
        s for s in in_order(shown.stages) if s in way.steps or (s == CANDIDATES and compares_candidates(way, shown))
    ]
    parts: list[Part] = []
    passed_over: list[str] = []
    start, current = ENCODED, way
    earlier = start
    for k, stage in enumerate(stages):
        tell(f"comparing {stage}", k / len(stages))
        deadline = began + time_s * (k + 1) / len(stages)
        if stage == CANDIDATES and start != OUTPUTS:
            # Behind another runtime's rounding no box of hundreds is the same one.
            passed_over.append(
                f"the candidate's '{stage}' are not compared, as the raw outputs in front are not gone on from"
            )
            continue
        # Behind boxes before NMS results are made of raw outputs all the same: a log's own boxes may be clipped already.
        begun = [(earlier, current), (start, way)] if start == CANDIDATES else [(start, way)]
        part = _part(begun, current, runner, both, shown, stage, reversed_at, deadline, other_model, limits)
        parts.append(part)
        refused = part.stretch.refused(way)
        if refused:
            passed_over.append(f"the candidate's '{stage}' {refused}: what lies behind is judged from '{start}' on")
        else:
            earlier, start, current = start, stage, part.way
    wall_s = time.monotonic() - began
    return Comparison(both, reference_alone, candidate_alone, parts, reversed_at, limits, wall_s, tuple(passed_over))


def _part(
    begun: Sequence[tuple[str, Way]],
    before: Way,
    runner: Runner,
    names: Sequence[str],
    shown: Shown,
    end: str,
    reversed_at: frozenset[str],
    deadline: float,
    other_model: bool,
    limits: Limits,
) -> Part:
    """begun: where it may begin, with what of the reference goes on from there; that is meant which leaves fewer differences.
    before: the reference with what was found so far: its pixels may lie elsewhere, and then go back from there."""
    part, way, start = None, begun[0][1], begun[0][0]
    for first, base, geometry in [(f, b, g) for f, b in begun for g in dict.fromkeys((before, b))]:
        if part is not None and not part.differing:
            break
        stretch = Stretch(first, end, names, shown, runner, geometry, limits, reversed_at)
        judged = _judged(stretch, base, names)
        if part is None or len(judged.differing) < len(part.differing):
            part, way, start = judged, base, first
    assert part
    if not part.differing:
        return replace(part, way=before)
    if other_model and OUTPUTS in part.stretch.stages:
        return replace(part, way=before, on_purpose=True)
    agreeing = [i for i in range(len(names)) if i not in set(part.differing)]
    early = deadline - (1 - SHARE_ALONE) * max(0.0, deadline - time.monotonic())
    if start == OUTPUTS and way is not begun[-1][1] and _is_explained(part, way, begun[-1][1]):
        return replace(part, way=before)
    search = Search(
        part.stretch,
        way,
        part.differing,
        agreeing,
        lambda: time.monotonic() < deadline,
        lambda: time.monotonic() < early,
    )
    tried = [m for m in mutations_of(way) if m.stage in part.stretch.stages]
    # Fitted on every other image that differs, so that what is confirmed was not fitted.
    of_results = Fitted()
    if end in OF_RESULTS:
        of_results = fitted(RESULT_FITS, part.stretch, way, [*part.differing[::2], *agreeing[:3]][:FIT_IMAGES])
        tried += of_results.mutations
    rounding = start not in (OUTPUTS, CANDIDATES) and end == RESULTS and _may_be_rounding(part, way)
    if rounding:
        # Another batch or backend of the reference rounds as the candidate may, and numbers can be fitted to anything: but
        # rounding moves no box the same way as all others.
        found = search.find([m for m in tried if (not m.parameters or m.fault == SHIFT) and m.stage != OUTPUTS], ())
    else:
        found = search.find(tried)
    found = replace(found, untried=(*found.untried, *map(Untried, of_results.broken)))
    if rounding and found.best is None:
        return replace(part, found=found, way=before, rounding=True)
    found, too_little = named_by_chance(part.stretch, way, found)
    try:
        explained = with_mutations(before, found.best.mutations) if found.best else before
    except CANNOT:
        # What was found in front mixes images already: it stands, and geometry is no other by that.
        explained = before
    return replace(part, found=found, way=explained, too_little=too_little)


def _is_explained(part: Part, changed: Way, way: Way) -> bool:
    """Whether what still differs is no more than what was found in front leaves of it: no mistake of its own."""
    left, all_of_it = (sum(part.stretch.distance(w, i) for i in part.differing) for w in (changed, way))
    return left <= (1 - LEAST_EXPLAINED) * all_of_it


def compares_candidates(way: Way, shown: Shown) -> bool:
    """Of a detector of boxes that NMS chooses among, behind raw outputs that are shown."""
    return OUTPUTS in shown.stages and OUTPUTS in way.steps and has_candidates(way.spec)


def _judged(stretch: Stretch, way: Way, names: Sequence[str]) -> Part:
    compared, largest = [], []
    for i in range(len(names)):
        # Both of one image: of hundreds none is kept until they all were compared.
        compared.append(stretch.compared(way, i))
        largest.append(stretch.largest(way, i))
    distances = [c.distance for c in compared]
    differing = [i for i, c in enumerate(compared) if not c.same]
    order = tuple(sorted(differing, key=lambda i: -distances[i]))
    return Part(stretch, distances, order, None, way, largest=max((d for d in largest if d is not None), default=None))


def _may_be_rounding(part: Part, way: Way) -> bool:
    """Of every image that differs. A score that is NaN in a log of scores is no rounding."""
    stretch = part.stretch
    if stretch.scored and any(np.isnan(scores_of(stretch.candidate(i))).any() for i in part.differing):
        return False
    try:
        pairs = [(stretch.made(way, i).value, stretch.candidate(i)) for i in part.differing]
    except (SeatrialError, ArgumentError, ValueError):
        return False
    return may_be_rounding(pairs, way.spec)


def _reversed_at(
    way: Way, runner: Runner, names: Sequence[str], shown: Shown, colors: Mapping[str, str]
) -> frozenset[str]:
    """Stages whose images have their channels the other way round than the reference's: a convention, judged at the input. By
    what the candidate says, else by which way they are nearer."""
    found = set()
    for stage in (DECODED, RESIZED):
        if stage not in shown.stages or stage not in way.steps:
            continue
        if stage in colors:
            if {colors[stage], way.spec.decode.color} == {"bgr", "rgb"}:
                found.add(stage)
            continue
        plain, turned = [], []
        for i in range(min(len(names), 8)):
            own = getattr(shown.load(names[i]), stage)
            reference = runner.at(way, i, stage).value
            if own is None or own.shape != reference.shape or own.ndim != 3 or own.shape[2] != 3:
                continue
            r, c = reference.astype(np.int16), own.astype(np.int16)
            plain.append(float(np.abs(r - c).mean()))
            turned.append(float(np.abs(r - c[..., ::-1]).mean()))
        if plain and mean(turned) < mean(plain) / 2:
            found.add(stage)
    return frozenset(found)
