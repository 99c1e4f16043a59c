"""The demo's detector as it logs itself on six images, with changes of what it logs, and what is said of that."""

from result_candidates import Shown, Taps, demo_images, demo_way

from seatrial.diagnosis.conclude import conclude
from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.runner import Runner

ENCODED = dict(list(demo_images().items())[:6])
NAMES = list(ENCODED)


def own(stage):
    runner = Runner(list(ENCODED.values()).__getitem__)
    return [runner.at(demo_way(), i, stage).value for i in range(len(NAMES))]


def logged(of_input=lambda x: x, of_outputs=lambda y: {"output0": y}):
    pairs = zip(own("input"), own("outputs"), own("results"), strict=True)
    taps = [Taps(input=of_input(x), outputs=of_outputs(y), results=r) for x, (y,), r in pairs]
    return Shown(dict(zip(NAMES, taps, strict=True)), frozenset({"input", "outputs", "results"}))


def said(shown, **more):
    compared = compare(demo_way(), ENCODED.__getitem__, NAMES, shown, time_s=30, **more)
    return compared, conclude(compared, demo_way(), "r", "c")
