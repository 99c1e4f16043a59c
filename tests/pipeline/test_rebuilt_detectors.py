"""Layouts of detectors as exporters write them, rebuilt by tools/heads: the whole way from the file to mAP, in this process."""

import json

import cv2
import heads.detectors  # noqa: F401
import onnxruntime
import pytest
from heads.encode import HEADS, build

from seatrial.images.files import ImageFile
from seatrial.model.file import inspect_model
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import map_classes
from seatrial.parity.evaluation import value_of
from seatrial.parity.truth import load_truth
from seatrial.pipeline.build import build_pipeline, labels_of
from seatrial.pipeline.class_count import check_labels, head_classes
from seatrial.pipeline.image_outputs import outputs_by_image
from seatrial.pipeline.plausibility import plausibility_of
from seatrial.plan import pipelines
from seatrial.plan.heads import recognise
from seatrial.plan.load import load_plan
from seatrial.plan.seen import observe
from seatrial.trial.run import run_trial

# pycocotools' own mask decoder on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
# What is anchored needs a file that no model says: init knows it only as a head that it does not read.
ANCHORED = sorted(n for n in HEADS if n.startswith("anchored-"))
NAMES = sorted(n for n in HEADS if n.startswith("detector-"))
# Heads whose files say enough: all others must be confirmed.
TICKED = ("detector-rtdetr-joined", "detector-rtdetr-end-to-end")


class Rebuilt:
    """One head in a folder: its model, its plan, its pictures, and what the pipeline gives for them."""

    def __init__(self, name, folder, lost=0, engine="native"):
        build(name, folder, lost=lost)
        plan = json.loads((folder / "plan.yaml").read_text())
        self.folder, self.info = folder, inspect_model(folder / "model.onnx")
        self.spec = pipelines.Pipeline.model_validate(plan["pipelines"]["only"] | {"engine": engine})
        self.pipeline = build_pipeline("only", self.spec, self.info, folder)
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        self.names = sorted(p.name for p in (folder / "pictures").iterdir())
        self.batches = plan["matrix"]["batch_sizes"]

    def runs(self, batch):
        """(outputs, geometries, how many are new) of each batch, the last filled up with its last picture."""
        feeds = self.pipeline.allocate(batch)
        for start in range(0, len(self.names), batch):
            chosen = [self.names[min(i, len(self.names) - 1)] for i in range(start, start + batch)]
            images = [cv2.imread(str(self.folder / "pictures" / n)) for n in chosen]
            geometries = self.pipeline.preprocess(images, feeds)
            yield self.session.run(None, feeds), geometries, min(batch, len(self.names) - start)

    def results(self, batch):
        found = []
        for outputs, geometries, count in self.runs(batch):
            found += self.pipeline.postprocess(outputs, geometries)[:count]
        return found

    def mean_average_precision(self, results):
        images = [ImageFile(self.folder / "pictures" / n, n) for n in self.names]
        truth = load_truth(self.folder / "truth.json", images)
        labels = labels_of(self.spec, self.info, self.folder)
        return value_of(evaluate(truth, images, results, map_classes(truth, labels, None, None)))


@pytest.mark.parametrize("name", NAMES)
def test_the_head_is_recognised_and_what_it_holds_is_plausible(name, tmp_path):
    own = Rebuilt(name, tmp_path)
    runs = list(own.runs(1))
    seen = observe([o.name for o in own.info.outputs], [(outputs, 1) for outputs, _, _ in runs])
    for held in (seen, {}):
        found = recognise(own.info, held, own.spec.preprocess.size)
        assert bool(found.certain) is (name in TICKED), (found.certain, found.doubts)
        assert bool(found.doubts) is not bool(found.certain)
    found = recognise(own.info, seen, own.spec.preprocess.size)
    post, same = own.spec.postprocess, {"damoyolo": "yolonas"}
    assert (found.head.task, found.head.format) == ("detect", same.get(post.format, post.format))
    # A file with one input does not say whether boxes are of the picture: a line to CHECK.
    assert found.head.boxes == (None if name == "detector-dfine" else post.boxes)

    plausible = plausibility_of("only", own.spec, own.info, own.folder)
    for outputs, geometries, count in runs:
        plausible.add(outputs, 1, count)
        plausible.add_reach(outputs_by_image(post, own.info.outputs, outputs, 1), geometries)
    assert plausible.settle(reduced=False) == []
    assert head_classes(post, own.info) in (3, None)
    check_labels("pipelines.only", own.spec, own.info, labels_of(own.spec, own.info, own.folder))


@pytest.mark.parametrize("name", ANCHORED)
def test_an_anchored_head_is_never_ticked_and_its_numbers_are_let_through(name, tmp_path):
    own = Rebuilt(name, tmp_path)
    runs = list(own.runs(1))
    seen = observe([o.name for o in own.info.outputs], [(outputs, 1) for outputs, _, _ in runs])
    assert not recognise(own.info, seen, own.spec.preprocess.size).certain
    plausible = plausibility_of("only", own.spec, own.info, own.folder)
    for outputs, _, count in runs:
        plausible.add(outputs, 1, count)
    assert plausible.settle(reduced=False) == []
    assert head_classes(own.spec.postprocess, own.info) == 3


@pytest.mark.slow
def test_a_whole_trial_of_rows_that_are_no_batch(tmp_path):
    """Accuracy at batch 1 and 4, and raw outputs that agree though each batch numbers its own images."""
    outcome = run_trial(load_plan(build("detector-yolov7-end-to-end", tmp_path)), tmp_path / "results")
    assert [(c.batch, c.accuracy.value.value) for c in outcome.record.cells] == [(1, 1.0), (4, 1.0)]
    assert outcome.record.verdict == "PASS"
    (parity,) = [c.parity for c in outcome.record.cells if c.parity]
    assert [t.max_abs for t in parity.tensors] == [0, 0, 0]
    assert parity.agreement == 1
