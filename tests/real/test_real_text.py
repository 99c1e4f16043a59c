"""PaddleOCR's models on pages drawn here: regions where the text was put, and what was written."""

import cv2
import numpy as np
import pytest

from seatrial.kernels.preprocess import Preprocess
from seatrial.kernels.results import TextRegions
from seatrial.kernels.text import TextDecoder
from seatrial.kernels.text_regions import TextRegionDecoder
from seatrial.model.file import inspect_model
from seatrial.parity.evaluation import value_of
from seatrial.parity.regions import evaluate_regions
from seatrial.parity.text_truth import Region
from seatrial.parity.texts import edit_distance
from seatrial.parity.truth import Truth
from seatrial.pipeline.text import lines_of

pytestmark = pytest.mark.real
WORDS = (
    "Harbour|Engine room|Lifeboat|24 knots|No smoking|Warning|Depth 184|Starboard|Exit|Keep clear|Port side|Total 935"
)
HW = (480, 640)


def page(seed, degrees):
    """BGR page and its regions: (corners (4, 2), text)."""
    rng = np.random.default_rng(seed)
    image, known = np.full((*HW, 3), 245, np.uint8), []
    for row, text in enumerate(rng.permutation(WORDS.split("|"))[:4]):
        (w, h), below = cv2.getTextSize(str(text), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
        x, y = int(rng.integers(120, HW[1] - w - 60)), 90 + 100 * row
        cv2.putText(image, str(text), (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (60, 30, 20), 2, cv2.LINE_AA)
        box = np.array([[x, y - h], [x + w, y - h], [x + w, y + below // 2], [x, y + below // 2]], float)
        known.append((box, str(text)))
    turn = cv2.getRotationMatrix2D((HW[1] / 2, HW[0] / 2), degrees, 1)
    image = cv2.warpAffine(image, turn, HW[::-1], borderValue=(245, 245, 245))
    return image, [(box @ turn[:, :2].T + turn[:, 2], text) for box, text in known]


def session(path):
    import onnxruntime as ort

    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text_detector", "text_detector_v6"])
def test_regions_are_where_the_text_was_put_also_when_it_is_turned(export, tmp_path, name):
    model = session(export(name))
    pre = Preprocess(size=HW, mode="stretch", color="bgr", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    regions, results, images = {}, [], []
    for seed, degrees in enumerate((0, 0, 12, -15)):
        image, known = page(seed, degrees)
        (found,) = TextRegionDecoder()(model.run(None, {"x": pre(image)}), [pre.geometry(HW)])
        assert isinstance(found, TextRegions)
        regions[str(seed)] = tuple(Region(box) for box, _ in known)
        results.append(found)
        images.append(type("Image", (), {"name": str(seed)}))
    assert value_of(evaluate_regions(Truth(tmp_path, regions=regions), images, results)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text_reader", "text_reader_v6"])
def test_what_was_written_is_read(export, name):
    """By PP-OCRv4's dictionary of 6623 characters, and by PP-OCRv6's of 18708."""
    path = export(name)
    model = session(path)
    read = TextDecoder(tuple(lines_of(inspect_model(path).metadata["character"])), space=True)
    pre = Preprocess(
        size=(48, 320),
        mode="letterbox",
        pad_anchor="top_left",
        pad_value=127,
        color="bgr",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    right = []
    for seed in range(3):
        image, known = page(seed, 0)
        for box, text in known:
            (x0, y0), (x1, y1) = np.floor(box.min(axis=0) - 6).astype(int), np.ceil(box.max(axis=0) + 6).astype(int)
            crop = np.ascontiguousarray(image[y0:y1, x0:x1])
            right.append((text, read(model.run(None, {"x": pre(crop)}), [pre.geometry(crop.shape[:2])])[0].text))
    # OpenCV's strokes are no print: a space is lost here and there.
    edits = sum(edit_distance(a, b) for a, b in right)
    assert edits / sum(len(a) for a, _ in right) < 0.05, right
    assert np.mean([a == b for a, b in right]) > 0.5, right
