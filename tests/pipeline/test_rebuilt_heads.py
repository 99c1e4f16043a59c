"""Heads whose right answer is known by construction, through the whole pipeline: the metric is 1.000, or what is lost costs."""

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from heads.all import HEADS, build
from heads.scene import CLASSES, Scene, scenes

from seatrial.images.files import find_images
from seatrial.jobs.guessed import confirmed
from seatrial.kernels.detection_formats import FORMATS
from seatrial.model.file import inspect_model
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import map_classes
from seatrial.parity.evaluation import value_of
from seatrial.parity.results import agreement
from seatrial.parity.truth import check_truth, load_truth
from seatrial.pipeline.build import build_pipeline, labels_of
from seatrial.pipeline.class_count import head_classes
from seatrial.pipeline.image_outputs import outputs_by_image
from seatrial.pipeline.plausibility import plausibility_of
from seatrial.pipeline.sure_objects import sure_objects_of
from seatrial.plan import tasks
from seatrial.plan.guess import guess
from seatrial.plan.heads import recognise
from seatrial.plan.load import load_plan
from seatrial.plan.seen import observe

# Text, maps and classes have tests and truths of their own.
OBJECTS = [name for name, head in HEADS.items() if head.post["task"] in tasks.OBJECTS]
every_head = pytest.mark.parametrize("name", OBJECTS)


class Rebuilt:
    """One head's folder, its pipeline run in this process."""

    def __init__(self, folder, name, **changes):
        self.plan = load_plan(build(name, folder, **changes))
        self.spec = self.plan.plan.pipelines["only"]
        self.folder = folder
        self.model = inspect_model(folder / "model.onnx")
        self.images = find_images(self.plan)[0]
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        self.outputs = []

    def results(self, engine="native", batch=1):
        spec = self.spec.model_copy(update={"engine": engine})
        pipeline = build_pipeline("only", spec, self.model, self.folder)
        plausible = plausibility_of("only", spec, self.model, self.folder)
        sure = sure_objects_of("only", spec, self.model, self.folder)
        results = []
        for start in range(0, len(self.images), batch):
            count = min(batch, len(self.images) - start)
            files = [self.images[min(start + k, len(self.images) - 1)] for k in range(batch)]
            feeds = pipeline.allocate(batch)
            geometries = pipeline.preprocess([pipeline.decode(f.path.read_bytes()) for f in files], feeds)
            outputs = self.session.run(None, feeds)
            plausible.add(outputs, batch, count)
            by_image = outputs_by_image(spec.postprocess, self.model.outputs, outputs, batch)
            plausible.add_reach(by_image[:count], geometries[:count])
            sure.add(by_image[:count], geometries[:count])
            self.outputs.append((outputs, batch))
            results += pipeline.postprocess(outputs, geometries)[:count]
        assert plausible.settle(reduced=False) == sure.warnings() == []
        return results

    def evaluation(self, results):
        truth = load_truth(self.folder / "truth.json", self.images)
        task = self.spec.postprocess.task
        assert check_truth(truth, self.images, [s.hw for s in scenes()], task) == []
        labels = labels_of(self.spec, self.model, self.folder)
        classes = head_classes(self.spec.postprocess, self.model)
        assert classes in (None, len(CLASSES))
        return evaluate(truth, self.images, results, map_classes(truth, labels, None, classes))


@every_head
def test_all_is_found_by_both_engines_in_every_batch(tmp_path, name):
    rebuilt = Rebuilt(tmp_path, name)
    first = rebuilt.results()
    found = rebuilt.evaluation(first)
    assert (found.metric, value_of(found)) == (HEADS[name].metric, pytest.approx(1))
    for engine, batch in (("reference", 1), ("native", HEADS[name].most)):
        again = rebuilt.results(engine, batch)
        for a, b in zip(first, again, strict=True):
            for key, value in vars(a).items():
                np.testing.assert_array_equal(value, getattr(b, key), err_msg=f"{engine} {key}")
    alike = agreement(first, first)
    assert (alike.value, alike.reference_empty) == (1.0, False)


@every_head
def test_what_is_not_found_costs_as_much_as_it_should(tmp_path, name):
    """Of three objects that the model does not know. Each class' precision is 1 up to the recall that is left."""
    rebuilt = Rebuilt(tmp_path, name, lost=3)
    things = [t for s in scenes() for t in s.things]
    all_of, lost = Counter(t.class_id for t in things), Counter(t.class_id for t in things[:3])
    expected = [np.floor(100 * (n - lost[k]) / n + 1e-9) + (n > lost[k]) for k, n in all_of.items()]
    value = value_of(rebuilt.evaluation(rebuilt.results()))
    assert 0 < value < 1
    assert value == pytest.approx(np.mean(expected) / 101)


NOTHING = Scene("empty.png", (80, 80), (90, 90, 90))


# What a map, a class or a text of nothing is, its model alone knows.
WITH_OBJECTS = [name for name, head in HEADS.items() if head.post["task"] in tasks.OBJECTS]


@pytest.mark.parametrize(
    ("name", "of"), [*((n, "zeros") for n in HEADS), *((n, "a picture without objects") for n in WITH_OBJECTS)]
)
def test_init_ticks_no_reading_of_a_picture_that_shows_nothing(tmp_path, name, of):
    """Whatever the metadata says: where nothing is found no number confirms it."""
    if of == "zeros":
        build(name, tmp_path)
    else:
        build(name, tmp_path, [NOTHING])
    model = inspect_model(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    feeds = {
        i.name: np.full([d if isinstance(d, int) else 1 for d in i.shape], 90 / 255, np.float32) for i in model.inputs
    }
    sides = [d if isinstance(d, int) else 160 for d in model.inputs[0].shape[2:]]
    feeds[model.inputs[0].name] = np.full([1, 3, *sides], 90 / 255, np.float32)
    outputs = session.run(None, feeds)
    outputs = [np.zeros_like(o) for o in outputs] if of == "zeros" else outputs
    seen = observe([o.name for o in model.outputs], [(outputs, 1)])
    found = confirmed(model, guess(model, seen), seen)
    assert not found.recognition.certain, found.recognition.certain
    assert found.recognition.doubts
    doubts = " ".join(found.unsure)
    if guess(model, seen).recognition.certain:
        assert "is not confirmed" in doubts or "yet that format" in doubts


@every_head
@pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "bare"])
def test_init_knows_it_or_says_that_it_does_not(tmp_path, name, metadata):
    """Right, or something to check; never a wrong tick. Without metadata nothing but numbers could tick it."""
    rebuilt = Rebuilt(tmp_path, name, metadata=metadata)
    rebuilt.results()
    seen = observe([o.name for o in rebuilt.model.outputs], rebuilt.outputs)
    found = recognise(rebuilt.model, seen, rebuilt.spec.preprocess.size)
    post = rebuilt.spec.postprocess
    alike = {"yolov10": "end_to_end", "yolo26": "end_to_end", "yolo11": "yolov8"}
    right = (found.head.task, found.head.format) == (post.task, alike.get(post.format, post.format))
    right = right and (found.head.boxes or FORMATS[post.format].units[0]) == (
        post.boxes or FORMATS[post.format].units[0]
    )
    assert right or not found.certain, found
    if metadata and HEADS[name].metadata:
        assert right, found
    if right and post.keypoints:
        assert found.keypoints == post.keypoints
