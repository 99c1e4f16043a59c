"""What an unexplained difference looks like: each planted shape is said, chance is called random, and too little says nothing."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.diagnosis.shapes.shape import NO_FORM, shape_of
from seatrial.kernels.results import Classification, DenseMap, Detections, SemanticMask, Text

SIZE = (96, 128)


def scene(seed, size=SIZE):
    """Soft areas with edges between them, as photographs have."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (size[0] // 16, size[1] // 16, 3)).astype(np.float32)
    soft = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        y, x = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        soft[y : y + 20, x : x + 20] += rng.uniform(-80, 80, 3)
    grain = rng.normal(0, 3, soft.shape)
    return np.clip(np.rint(soft + grain), 20, 235).astype(np.uint8)


SCENES = [scene(k) for k in range(4)]


def said_of(change, stage="decoded"):
    return shape_of(stage, [(image, change(image)) for image in SCENES])


def clipped(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def border(image, width=2):
    made = image.copy()
    made[width:-width, width:-width] = 0
    return np.where(made > 0, 255 - image, image)


def overlay(image, left=70):
    made = image.copy()
    made[8:20, left : left + 40] = 255
    return made


def one_channel(image):
    made = image.copy()
    made[..., 1] = clipped(255 * (image[..., 1] / 255.0) ** 0.5)
    return made


def mixed(image):
    return clipped(image @ np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.05, 0.15, 0.8]]).T)


def shifted(image, dx, dy):
    return cv2.warpAffine(image, np.float64([[1, 0, dx], [0, 1, dy]]), SIZE[::-1], borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i: clipped(i * 1.08 - 3.0), ["an affine change of all values explains", "×1.08 −3"]),
        (lambda i: clipped(i * [1.1, 1.0, 0.9] + [4, 0, -6]), ["an affine change of each channel explains", "×1.1 +3.98", "×0.9 −6"]),
        (lambda i: clipped((i - i.min()) * (255.0 / (int(i.max()) - int(i.min())))), ["an affine change"]),
        (lambda i: clipped(255 * (i / 255.0) ** 0.6), ["a curve of the values"]),
        (mixed, ["a mix of the channels explains"]),
        (lambda i: shifted(i, 3, 0), ["a shift by 3 px to the right explains"]),
        (lambda i: shifted(i, -1, 2), ["px to the left", "2 px down"]),
        (lambda i: cv2.GaussianBlur(i, (5, 5), 1.0), ["a blur"]),
        (lambda i: clipped(cv2.filter2D(i.astype(np.float32), -1, np.float32([[0, -0.5, 0], [-0.5, 3, -0.5], [0, -0.5, 0]]))), ["sharpening"]),
        (border, ["in the outermost 2 pixels"]),
        (overlay, ["lies in one place", "y 8 to 20"]),
        (one_channel, ["channel 1 of 3 alone has 100 % of it", "a curve"]),
    ],
)  # fmt: skip
def test_each_shape_of_an_image_is_said(change, words):
    said = said_of(change)
    for word in words:
        assert word in said, said


def test_an_affine_of_each_image_is_told_from_one_for_all():
    said = shape_of(
        "decoded",
        [(s, clipped(s * a + b)) for s, a, b in zip(SCENES, (0.7, 0.9, 1.1, 1.2), (40, -10, 0, -30), strict=True)],
    )
    assert said.startswith("an affine change of each channel, another one in each image, explains"), said


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.7, 1.3), offset=st.floats(-15, 15))
def test_whatever_the_affine_it_is_said_with_its_share(scale, offset):
    made = [(s, s.astype(np.float32) * np.float32(scale) + np.float32(offset)) for s in SCENES[:2]]
    if max(float(np.abs(r - c).max()) for r, c in made) < 0.5:
        return
    said = shape_of(
        "input", [(r.transpose(2, 0, 1)[None].astype(np.float32), c.transpose(2, 0, 1)[None]) for r, c in made]
    )
    assert said.startswith("an affine change of all values explains 9") or "explains 100 %" in said, said
    assert f"×{scale:.3g}" in said, said


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [2, 6])
def test_noise_is_random_and_nothing_else(seed, size):
    rng = np.random.default_rng(seed)
    said = said_of(lambda i: clipped(i + rng.normal(0, size, i.shape)))
    assert said.startswith("it looks random"), said


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_outputs_is_random(seed):
    rng = np.random.default_rng(seed)
    made = [rng.normal(0, 1, (1, 12, 200)).astype(np.float32) for _ in range(4)]
    said = shape_of("outputs", [([m], [m + rng.normal(0, 0.02, m.shape).astype(np.float32)]) for m in made], ["scores"])
    assert said.startswith("it looks random"), said


def test_too_little_says_so():
    image = SCENES[0]
    made = image.copy()
    made[10:12, 10:20] += 7
    assert shape_of("decoded", [(image, made)]) == "too little to tell its form: 60 values in 1 image"
    assert shape_of("decoded", []) == ""


def test_a_difference_without_a_form_claims_none():
    said = said_of(lambda i: np.rot90(i, 2))
    assert said.startswith(f"{NO_FORM}; at best, an affine change of each channel")
    assert said_of(cv2.bitwise_not, "resized").startswith(
        "an affine change of all values explains 100 % of it: ×-1 +255"
    )


def test_shapes_and_odd_numbers_come_first():
    r = np.zeros((1, 3, 64, 64), np.float32)
    assert shape_of("input", [(r, np.zeros((1, 3, 32, 64), np.float32))]) == (
        "another shape, in 1 of 1: 1 × 3 × 32 × 64 instead of 1 × 3 × 64 × 64"
    )
    odd = r.copy()
    odd[0, 0, :40] = np.nan
    assert shape_of("input", [(r, odd)]) == "NaN or infinity on one side alone, in 20 % of the values"


@pytest.fixture(scope="module")
def heads():
    rng = np.random.default_rng(7)
    return [rng.normal(0, [[[5], [5], [5], [5], [0.1], [0.1]]], (1, 6, 300)).astype(np.float32) for _ in range(4)]


def test_rows_of_an_output_are_named(heads):
    def change(head):
        made = head.copy()
        made[:, 4] = made[:, 4] * 1.5 + 0.1
        return made

    said = shape_of("outputs", [([h, h[:, :, :4]], [change(h), h[:, :, :4]]) for h in heads], ["boxes", "other"])
    assert said.startswith(
        "output boxes alone has 100 % of it; 100 % of it lies in row 4 (of 6) along axis 1; an affine"
    ), said


def test_an_affine_of_each_row_is_told(heads):
    by = np.float32([1.1, 0.9, 1.2, 0.8, 1.0, 1.3])[None, :, None]
    said = shape_of("outputs", [([h], [h * by + by]) for h in heads], ["boxes"])
    assert "an affine change of each row along axis 1 explains" in said, said


def test_a_few_places_of_an_output_are_counted(heads):
    def change(head):
        made = head.copy()
        made[:, :, 20:80] += 1 + made[:, ::-1, 20:80]
        return made

    said = shape_of("outputs", [([h], [change(h)]) for h in heads], ["boxes"])
    assert "of 300 rows along axis 2" in said, said


def boxes(seed, count=20):
    rng = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2)[:count] * 80 + 20
    sides = rng.uniform(35, 60, (count, 2))
    found = np.concatenate([at, at + sides], axis=1).astype(np.float32)
    return Detections(found, np.sort(rng.uniform(0.3, 0.95, count))[::-1].astype(np.float32), rng.integers(0, 6, count))


def part(found, chosen):
    return Detections(found.boxes_xyxy[chosen], found.scores[chosen], found.class_ids[chosen])


def other(found, boxes_xyxy=None, scores=None, class_ids=None):
    given = (found.boxes_xyxy if boxes_xyxy is None else boxes_xyxy, found.scores if scores is None else scores)
    return Detections(*given, found.class_ids if class_ids is None else class_ids)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: part(d, d.class_ids != 3), ["missing, which make 100 % of it", "are of class 3"]),
        (lambda d: part(d, d.scores > np.quantile(d.scores, 0.2)), ["missing", "score below"]),
        (lambda d: part(d, d.boxes_xyxy[:, 0] > 25), ["missing", "touch the image's border"]),
        (
            lambda d: other(d, boxes_xyxy=d.boxes_xyxy + np.float32([3, -2, 3, -2])),
            ["boxes lie", "+3 and -2 px", "×1 as wide"],
        ),
        (lambda d: other(d, scores=d.scores * np.float32(0.8)), ["scores alone make 100 % of it", "higher in 0 %"]),
        (lambda d: other(d, class_ids=np.where(d.class_ids == 2, 5, d.class_ids)), ["class 2 becomes 5"]),
    ],
)
def test_each_shape_of_objects_is_said(change, words):
    sides = []
    for k in range(8):
        found = boxes(k)
        found.boxes_xyxy[found.boxes_xyxy[:, 0] <= 25, 0] = 0
        sides.append((found, change(found)))
    said = shape_of("results", sides, sizes_hw=[(400, 500)] * 8)
    for word in words:
        assert word in said, said


def test_boxes_that_move_each_otherwise_have_no_direction():
    rng = np.random.default_rng(0)
    sides = [
        (
            boxes(k),
            other(boxes(k), boxes_xyxy=boxes(k).boxes_xyxy + np.tile(rng.normal(0, 4, (20, 2)), 2).astype(np.float32)),
        )
        for k in range(4)
    ]
    assert "px, each otherwise" in shape_of("results", sides)


def test_an_overlay_is_found_in_images_of_unlike_sizes():
    scenes = [scene(k, size) for k, size in enumerate([(96, 128), (128, 96), (160, 160)])]
    assert "lies in one place (x 50 to 90, y 8 to 20)" in shape_of("decoded", [(s, overlay(s, 50)) for s in scenes])


def test_objects_that_the_reference_has_not():
    sides = [(part(boxes(k), slice(0, 12)), boxes(k)) for k in range(4)]
    assert shape_of("results", sides).startswith("32 objects that the reference has not, which make 100 % of it")


def test_one_object_is_too_little():
    assert shape_of("results", [(boxes(0), part(boxes(0), slice(1, None)))]) == "too little differs to tell its form"


def test_classes_maps_masks_and_texts():
    first = [Classification(np.array([k, 9]), np.float32([0.6, 0.3])) for k in (1, 1, 1, 1, 2)]
    turned = [Classification(np.array([4, 9]), np.float32([0.6, 0.3])) for _ in first]
    said = shape_of("results", list(zip(first, turned, strict=True)))
    assert said.startswith(
        "the first class is another in 100 % of the images that differ; class 1 becomes 4 in 4 of them"
    ), said

    depth = SCENES[0][..., 0].astype(np.float32)
    assert "×2 +1" in shape_of("results", [(DenseMap(depth), DenseMap(2 * depth + 1))] * 2)

    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 20:60] = 1
    grown = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    assert "within 2 pixels of an outline" in shape_of("results", [(SemanticMask(mask), SemanticMask(grown))])

    texts = [(Text.of(w, 0.9), Text.of(w.upper(), 0.9)) for w in ("abc", "port", "quay", "buoy")]
    assert shape_of("results", texts) == "letters' case alone, in 100 % of the texts that differ"
