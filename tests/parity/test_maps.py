"""Truth of maps and of label sets, and figures that are known by construction: found, missed, off by so much."""

import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from seatrial.errors import DataError
from seatrial.gate.accuracy import accuracy_interval, judge_accuracy, judge_drop, judge_error
from seatrial.gate.budgets import judge_budget
from seatrial.images.files import ImageFile
from seatrial.kernels.geometry import fit
from seatrial.kernels.results import DenseMap, Labels, SemanticMask
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap, map_classes
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import judged_images, said_beside, value_of
from seatrial.parity.label_sets import LabelEvaluation
from seatrial.parity.relabel import relabelled
from seatrial.parity.results import agreement
from seatrial.parity.seen import nothing_found, seen
from seatrial.parity.truth import check_truth, load_truth, truth_files
from seatrial.pipeline.decoders import decoder_of
from seatrial.plan.budgets import Budget
from seatrial.plan.pipelines import Postprocess

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from heads import maps as heads_of_maps
from heads.scene import way


def images_of(folder, *names):
    return [ImageFile(folder / name, name) for name in names]


def mask_png(path, values, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette:
        image = image.convert("P")
        image.putdata(np.asarray(values, np.uint8).ravel().tolist())
        image.putpalette([v for k in range(256) for v in ((7 * k) % 256, k, 255 - k)])
    image.save(path)


# ---- figures by construction, of the heads rebuilt


def evaluated(name, folder, **post):
    """The value of a perfect head's outputs, decoded as its plan says and judged by its truth."""
    head = heads_of_maps.HEADS[name]
    found = list(head.scenes())
    spec = Postprocess(**{**head.post, **post})
    annotations = folder / head.annotations(folder, found)
    images = images_of(folder, *(s.name for s in found))
    truth = load_truth(annotations, images, multi_label=spec.multi_label, **head.images)
    check_truth(truth, images, [s.hw for s in found], spec.task, spec.multi_label)
    class_map = map_classes(truth, spec.labels, None, len(spec.labels or []) or None)
    rng, results = np.random.default_rng(0), []
    for scene in found:
        outputs = head.outputs(scene.things, way(scene.hw, heads_of_maps.SIDE, head.mode), rng)
        geometry = fit(scene.hw, (heads_of_maps.SIDE,) * 2, head.mode)
        chosen = [outputs[n] for n in spec.outputs] if spec.outputs else list(outputs.values())
        results += decoder_of(spec, "native")([o[None] for o in chosen], [geometry])
    evaluation = evaluate(truth, images, results, class_map)
    assert evaluation.metric == head.metric
    return value_of(evaluation)


OWN = [n for n in heads_of_maps.HEADS if n.startswith(("segment-", "dense-", "classify-"))]


@pytest.mark.parametrize("name", OWN)
def test_a_perfect_head_is_found_perfect(name, tmp_path):
    best = 0.0 if name.startswith("dense") else 1.0
    assert evaluated(name, tmp_path) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "post", "expected"),
    [
        ("dense-depth", {"scale": 1.1}, 0.1),
        ("dense-disparity", {"invert": False, "scale": 1e-12, "shift": 0}, 1.0),
        ("classify-labels", {"confidence": 0.95}, 0.0),
        # The background wins everywhere, and reads as the first class.
        ("classify-background", {"background": "last"}, None),
    ],
)
def test_a_wrong_plan_has_the_figure_that_follows(name, post, expected, tmp_path):
    if name == "classify-background":
        head = heads_of_maps.HEADS[name]
        expected = np.mean([s.things[0].class_id == 0 for s in head.scenes()])
    assert evaluated(name, tmp_path, **post) == pytest.approx(expected, rel=1e-5)


# ---- label images


def test_label_images_are_found_by_path_or_stem_and_judged_but_for_255(tmp_path):
    images = images_of(tmp_path / "pictures", "a/x.jpg", "y.png")
    mask_png(tmp_path / "masks/a/x.png", [[0, 1, 2, 255]], palette=True)
    mask_png(tmp_path / "masks/deep/y.png", [[1, 1], [0, 255]])
    mask_png(tmp_path / "masks/z.png", [[9]])
    truth = load_truth(tmp_path / "masks", images)
    assert [str(w) for w in truth.warnings] == [
        "masks: 1 label image of no image of the trial are left out",
        "label images of 1 image are taken by the file's name alone, though they lie in another folder: y.png has deep/y.png; "
        "name these images' own truth in images.annotations, or give both sides the same folders",
    ]
    assert truth.masks.values == {0: 2, 1: 2, 2: 1, 255: 2}
    assert [p.name for p in truth_files(tmp_path / "masks")] == ["x.png", "y.png", "z.png"]
    check_truth(truth, images, [(1, 4), (2, 2)], "segment")
    class_map = map_classes(truth, ["bg", "a", "b"], None, 3)
    results = [SemanticMask(np.array([[0, 1, 1, 2]], np.uint8)), SemanticMask(np.array([[1, 0], [0, 1]], np.uint8))]
    found = evaluate(truth, images, results, class_map)
    # bg: 2 of 3; a: 2 of 4; b: 0 of 1.
    assert found.intersection.sum(axis=0).tolist() == [2, 2, 0]
    assert found.union.sum(axis=0).tolist() == [3, 4, 1]
    assert value_of(found) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_pixels_are_counted_as_one_by_one(seed, tmp_path):
    rng = np.random.default_rng(seed)
    true, own = rng.choice([0, 1, 2, 4, 255], (300, 400)), rng.integers(0, 6, (300, 400))
    mask_png(tmp_path / "m/x.png", true)
    images = images_of(tmp_path, "x.png")
    truth = load_truth(tmp_path / "m", images)
    found = evaluate(truth, images, [SemanticMask(own.astype(np.uint16))], ClassMap(ids=(0, 1, None, 2)))
    assert found.categories == (0, 1, -1, 2, 4)
    judged = true != 255
    for k, value in enumerate((0, 1, None, 2, 4)):
        here = (own == k) & (k < 4) & judged
        there = (true == value) & judged if value is not None else np.zeros_like(judged)
        assert found.intersection[0, k] == (here & there).sum()
        assert found.union[0, k] == (here | there).sum()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"cannot be read \(a folder without a \.png or \.txt file of labels\).*label images.*oriented boxes"),
        ({"y.png": [[0]]}, r"no label image \(a PNG of the same name\) for 1 of 1 image: x.jpg"),
        ({"a/x.png": [[0]], "b/x.png": [[0]]}, "x.jpg has several label images"),
        ({"x.png": np.zeros((2, 2, 3))}, "got mode RGB; write class numbers, not colours"),
    ],
)
def test_label_images_that_cannot_be_are_named(files, said, tmp_path):
    (tmp_path / "m").mkdir()
    for name, values in files.items():
        mask_png(tmp_path / "m" / name, values)
    with pytest.raises(DataError, match=said):
        load_truth(tmp_path / "m", images_of(tmp_path, "x.jpg"))


def test_a_folder_is_of_label_images_or_of_oriented_boxes_by_its_files(tmp_path):
    folder, images = tmp_path / "m", images_of(tmp_path, "x.jpg")
    folder.mkdir()
    mask_png(folder / "x.png", [[0]])
    (folder / "classes.txt").write_text("road\n")
    assert load_truth(folder, images).masks is not None
    (folder / "x.txt").write_text("0 0 2 0 2 2 0 2 ship 0\n")
    with pytest.raises(DataError, match=r"has files of both kinds.*label images.*oriented boxes.*keep one kind"):
        load_truth(folder, images)
    (folder / "x.png").rename(folder / "legend.png")
    assert load_truth(folder, images).coco["annotations"]
    (folder / "x.txt").rename(folder / "z.txt")
    with pytest.raises(DataError, match="has no file of either kind under the images' names"):
        load_truth(folder, images)
    assert [p.name for p in truth_files(folder)] == ["legend.png", "classes.txt", "z.txt"]


def test_grey_of_four_bits_is_refused_since_it_would_be_stretched(tmp_path):
    (tmp_path / "m").mkdir()
    ihdr = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    chunks = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(bytes([0, 0x12]))), (b"IEND", b"")]
    data = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    (tmp_path / "m/x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert np.asarray(Image.open(tmp_path / "m/x.png")).tolist() == [[17, 34]]
    with pytest.raises(DataError, match="got mode L with 4 bits"):
        load_truth(tmp_path / "m", images_of(tmp_path, "x.jpg"))


def test_a_label_image_of_another_size_is_refused(tmp_path):
    mask_png(tmp_path / "m/x.png", np.zeros((2, 3)))
    images = images_of(tmp_path, "x.jpg")
    truth = load_truth(tmp_path / "m", images)
    with pytest.raises(
        DataError, match=r"label image is 2 × 3 \(height × width\), but x.jpg decodes to 3 × 2; if EXIF"
    ):
        check_truth(truth, images, [(3, 2)], "segment")
    with pytest.raises(DataError, match="is annotated at 2 × 3"):
        evaluate(truth, images, [SemanticMask(np.zeros((3, 2), np.uint8))], ClassMap(ids=(0,)))
    with pytest.raises(DataError, match="'detect' is judged by COCO JSON"):
        check_truth(truth, images, [(2, 3)], "detect")


@pytest.mark.parametrize(
    ("values", "count", "class_ids", "said"),
    [
        ([0, 255], 2, None, "hold 0 and 255 alone, and 255 is what is not judged"),
        ([0, 1, 7], 3, None, r"hold 7, but the model has 3 classes, 0 to 2; write 255"),
        ([1, 2, 3], 3, None, r"hold 3, but the model has 3 classes, 0 to 2; do they count from 1\?"),
        ([0, 1], 2, "coco80", "class_ids is coco80, which reads category ids"),
        ([0, 1], 2, {"0": 255}, "gives 255 to '0'; expected one of 0 to 254"),
        ([0, 1], 2, {"0": 1, "1": 1}, "gives number 1 to two classes"),
        ([0, 1], 2, {"0": 5}, "no number of the label images"),
    ],
)
def test_numbers_that_are_no_class_are_refused(values, count, class_ids, said, tmp_path):
    mask_png(tmp_path / "m/x.png", [values])
    truth = load_truth(tmp_path / "m", images_of(tmp_path, "x.png"))
    with pytest.raises(DataError, match=said):
        map_classes(truth, None, class_ids, count)


def test_the_plan_says_which_number_is_which_class(tmp_path):
    mask_png(tmp_path / "m/x.png", [[1, 2, 9]])
    truth = load_truth(tmp_path / "m", images_of(tmp_path, "x.png"))
    found = map_classes(truth, ["road", "car"], {"road": 1, "car": 2}, 2)
    assert (found.ids, found.how) == ((1, 2), "plan")
    assert [str(w).split(" of the label")[0] for w in found.warnings] == ["numbers 9"]


# ---- dense maps


def value_maps(folder, maps, header="image,map", rows=None):
    (folder / "d").mkdir(exist_ok=True)
    for name, values in maps.items():
        if name.endswith(".npy"):
            np.save(folder / "d" / name, values)
        else:
            cv2.imwrite(str(folder / "d" / name), values)
    lines = rows or [f"{Path(n).stem}.jpg,d/{n}" for n in maps]
    (folder / "truth.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "truth.csv"


def with_sky(sky, dtype):
    values = np.linspace(1000, 9000, 400).astype(dtype).reshape(20, 20)
    values[:4] = sky
    return values


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("x.png", with_sky(65535, np.uint16), "first of x.jpg (65535 in 20%)"),
        ("x.npy", with_sky(32767, np.int16), "first of x.jpg (32767 in 20%)"),
        ("x.npy", with_sky(1e10, np.float32), "first of x.jpg (1e+10 in 20%)"),
        ("x.png", np.full((20, 20), 65535, np.uint16), "(65535 in 100%)"),
        # A far plane that other values come near is where it is; nothing is known of 0 and infinity.
        ("x.npy", with_sky(9500, np.float32), ""),
        ("x.png", with_sky(0, np.uint16), ""),
        ("x.npy", with_sky(np.inf, np.float32), ""),
    ],
)
def test_one_greatest_value_in_many_pixels_is_told(tmp_path, name, values, said):
    images = images_of(tmp_path, "x.jpg")
    truth = load_truth(value_maps(tmp_path, {name: values}), images, map_scale=0.001)
    found = check_truth(truth, images, [(20, 20)], "dense")
    assert [w.code for w in found] == ["far-values"] * bool(said)
    assert said in "".join(map(str, found))


def test_errors_of_dense_maps_are_counted_over_judged_pixels(tmp_path):
    true = np.array([[1.0, 2.0, 0.0], [4.0, np.nan, np.inf]], np.float32)
    path = value_maps(tmp_path, {"x.npy": true, "y.png": np.array([[1000, 0], [2000, 500]], np.uint16)})
    images = images_of(tmp_path, "x.jpg", "y.jpg")
    truth = load_truth(path, images, map_scale=0.001)
    assert {p.name for p in truth_files(path)} == {"truth.csv", "x.npy", "y.png"}
    # The scale of the plan is that of all files.
    own = [np.array([[1.5, 2.0, 9], [3.0, 9, 9]]) / 1000, np.array([[1.0, 9], [1.0, 0.5]])]
    results = [DenseMap(v.astype(np.float32)) for v in own]
    check_truth(truth, images, [(2, 3), (2, 2)], "dense")
    found = evaluate(truth, images, results, map_classes(truth, None, None, None))
    np.testing.assert_allclose(found.values, [(0.5 + 0 + 0.25) / 3, (0 + 0.5 + 0) / 3], rtol=1e-6)
    np.testing.assert_allclose(found.called("RMSE").values, [np.sqrt((0.25 + 1) / 3) / 1000, np.sqrt(1 / 3)], rtol=1e-5)
    np.testing.assert_allclose(found.called("RMSE").of_nothing, [np.sqrt(21 / 3) / 1000, np.sqrt(5.25 / 3)], rtol=1e-6)
    assert value_of(found) == pytest.approx((0.25 + 1 / 6) / 2, rel=1e-6)
    assert said_beside(found) == "RMSE 0.289, judged 60% of the pixels"
    assert said_beside(found.called("RMSE")) == ""
    assert set(found.columns(["x", "y"])) == {"image", "value", "of_nothing", "rmse", "rmse_of_nothing"}


def test_an_image_without_a_judged_pixel_has_no_part(tmp_path):
    path = value_maps(tmp_path, {"x.npy": np.zeros((2, 2), np.float32), "y.npy": np.full((2, 2), 2.0)})
    images = images_of(tmp_path, "x.jpg", "y.jpg")
    truth = load_truth(path, images)
    results = [DenseMap(np.full((2, 2), 3, np.float32))] * 2
    found = evaluate(truth, images, results, ClassMap())
    assert value_of(found) == pytest.approx(0.5)
    assert value_of(found, [0]) is None
    assert (judged_images(found), said_beside(found)) == (
        1,
        "RMSE 1, judged 50% of the pixels, 1 of 2 images not judged",
    )


def test_a_figure_is_of_the_images_that_are_judged(tmp_path):
    """A verdict on 40 images that rests on 4 says 4."""
    sparse = errors([0.02] * 4 + [np.nan] * 36)
    reasons = [judge_error(sparse, 0.9, 0).reason, judge_drop(sparse, sparse, 0.9, 0).reason]
    assert all("on 4 images (36 of 40 images not judged)" in r for r in reasons), reasons
    mask_png(tmp_path / "masks/x.png", [[0, 1]])
    mask_png(tmp_path / "masks/y.png", [[255, 255]])
    images = images_of(tmp_path, "x.jpg", "y.jpg")
    truth = load_truth(tmp_path / "masks", images)
    found = evaluate(truth, images, [SemanticMask(np.array([[0, 1]], np.uint8))] * 2, map_classes(truth, None, None, 2))
    assert (judged_images(found), said_beside(found)) == (1, "judged 50% of the pixels, 1 of 2 images not judged")
    assert "mIoU on 1 image (1 of 2 images not judged)" in judge_accuracy(found, 0.5, 0).reason


def test_a_third_column_goes_before_the_plan(tmp_path):
    path = value_maps(tmp_path, {"x.npy": np.ones((1, 1))}, "image,map,map_scale", ["x.jpg,d/x.npy,0.5"])
    assert load_truth(path, images_of(tmp_path, "x.jpg"), map_scale=2.0).maps["x.jpg"].scale == 0.5


@pytest.mark.parametrize(
    ("maps", "rows", "scale", "said"),
    [
        ({"x.npy": np.ones((1, 1))}, ["y.jpg,d/x.npy"], None, "no map for 1 of 1 image: x.jpg"),
        (
            {"x.npy": np.ones((1, 1))},
            ["x.jpg,d/x.npy", "x.jpg,d/z.npy"],
            None,
            "in one row and 'd/z.npy' in another; keep one",
        ),
        ({"x.npy": np.ones((1, 1))}, ["x.jpg,d/no.npy"], None, r"no.npy: the map cannot be read"),
        ({"x.npy": np.ones((1, 1))}, ["x.jpg,d/x.exr"], None, "expected maps as .npy or 16-bit .png"),
        (
            {"x.npy": np.ones((1, 1, 1))},
            None,
            None,
            r"expected numbers of shape \(height, width\), got float64 of shape \(1, 1, 1\)",
        ),
        ({"x.npy": np.array([[{}]])}, None, None, "the map cannot be read"),
        ({"x.npy": np.ones((1, 1), np.uint16)}, None, None, "nothing says their unit; give images.map_scale"),
        ({"x.png": np.ones((1, 1), np.uint16)}, None, None, "nothing says their unit; give images.map_scale"),
        ({"x.png": np.ones((1, 1), np.uint8)}, None, 1.0, "expected a 16-bit grey PNG, got one of mode L"),
    ],
)
def test_maps_that_cannot_be_are_named(maps, rows, scale, said, tmp_path):
    path = value_maps(tmp_path, maps, rows=rows)
    with pytest.raises(DataError, match=said):
        load_truth(path, images_of(tmp_path, "x.jpg"), map_scale=scale)


def test_an_error_that_nobody_knows_is_not_a_small_one(tmp_path):
    images = images_of(tmp_path, "x.jpg")
    truth = load_truth(value_maps(tmp_path, {"x.npy": np.ones((2, 2))}), images)
    gap = DenseMap(np.array([[1, np.nan], [1, 1]], np.float32))
    with pytest.raises(DataError, match=r"x.jpg: 1 pixel of 4 that the truth judges have no value; where a crop"):
        evaluate(truth, images, [gap], ClassMap())
    with pytest.raises(DataError, match="2 × 2 but 2 × 1 came"):
        evaluate(truth, images, [DenseMap(np.ones((2, 1), np.float32))], ClassMap())
    with pytest.raises(DataError, match=r"the map is 2 × 2 \(height × width\), but x.jpg decodes to 4 × 4"):
        check_truth(truth, images, [(4, 4)], "dense")


# ---- limits on errors


def errors(values, of_nothing=1.0):
    values = np.asarray(values, np.float64)
    return ErrorEvaluation("AbsRel", values, np.full(len(values), of_nothing))


def test_a_limit_on_an_error_is_judged_by_bounds():
    rng = np.random.default_rng(1)
    few, many = errors(rng.uniform(0.05, 0.07, 12)), errors(rng.uniform(0.05, 0.07, 400))
    assert judge_error(many, 0.1, 0).verdict == "PASS"
    assert judge_error(many, 0.04, 0).verdict == "FAIL"
    as_its_limit = judge_error(many, 0.1, 0, "fraction").reason
    assert as_its_limit == "AbsRel on 400 images, 5.9 % to 6.7 % at 95% a side if none is further off than 100.0 %"
    unsure = judge_error(few, 0.1, 0)
    assert unsure.verdict == "INCONCLUSIVE"
    assert "AbsRel on 12 images, " in unsure.reason
    assert "if none is further off than 1, which spans the limit; about " in unsure.reason
    assert judge_error(errors([np.nan]), 0.1, 0).verdict == "INCONCLUSIVE"


def test_a_perfect_set_is_bounded_by_what_nobody_has_seen():
    low, high = accuracy_interval(errors(np.zeros(30)), 0)
    assert low == 0
    # One image in thirty of an answer of nothing, which a set of 30 misses with e^-3.
    assert 0.05 < high < 0.2


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_wrong_passes_of_errors_are_rare(spread):
    """Log-normal errors of which the true mean lies a little above the limit: whoever passes is wrong."""
    rng, mean = np.random.default_rng(5), 0.1
    wrong = 0
    for trial in range(150):
        values = rng.lognormal(np.log(mean) - spread**2 / 2, spread, 25)
        wrong += judge_error(errors(values), mean * 0.999, trial).verdict == "PASS"
    assert wrong / 150 <= 0.06


def budget(**keys):
    return Budget(**keys)


@pytest.mark.parametrize(
    ("keys", "evaluation", "verdict", "said"),
    [
        ({"metric": "abs_rel", "max": 0.9}, errors([0.01] * 40), "PASS", "AbsRel on 40 images"),
        (
            {"metric": "accuracy", "min": 0.001},
            errors([0.5] * 40),
            "INCONCLUSIVE",
            "of which less is better: use {metric: abs_rel",
        ),
        ({"metric": "miou_drop", "max": "1 points"}, errors([0.5] * 40), "INCONCLUSIVE", "of which less is better"),
        ({"metric": "rmse", "max": 1.5}, errors([0.5] * 40), "INCONCLUSIVE", "this task's metric is AbsRel, not RMSE"),
        (
            {"metric": "abs_rel", "max": 0.9},
            LabelEvaluation(*[np.ones(9)] * 3),
            "INCONCLUSIVE",
            "is micro F1, not AbsRel",
        ),
    ],
)
def test_budgets_on_errors_never_pass_by_the_wrong_side(keys, evaluation, verdict, said):
    cell = SimpleNamespace(
        id="c",
        pipeline="p",
        status="ok",
        measured=SimpleNamespace(doubt=""),
        accuracy_note="",
        backend="b",
        precision="fp32",
    )
    plan = SimpleNamespace(
        pipelines={"p": None}, parity=None, regression=None, measure=SimpleNamespace(seed=0),
        matrix=SimpleNamespace(backend_names=["b"], precisions=["fp32"], batch_sizes=[1], threads=[1]),
    )  # fmt: skip
    cell.batch = cell.threads = 1
    (found,) = judge_budget(plan, budget(**keys), [cell], None, lambda _cell: evaluation)
    assert found.verdict == verdict
    assert said in found.reason


# ---- label sets


def labels(*class_ids):
    return Labels(np.array(class_ids, np.int64), np.linspace(0.9, 0.6, len(class_ids), dtype=np.float32))


def test_labels_come_in_rows_or_joined_and_an_empty_class_is_none(tmp_path):
    (tmp_path / "t.csv").write_text("image,class\nx,a; b\ny,\nx,c\nz,b\nz,b\nother,a\n")
    images = images_of(tmp_path, "x", "y", "z")
    truth = load_truth(tmp_path / "t.csv", images, multi_label=True)
    assert truth.label_sets == {"x": ("a", "b", "c"), "y": (), "z": ("b",)}
    assert len(truth.warnings) == 2
    class_map = map_classes(truth, ["a", "b", "c"], None, 3)
    results = [labels(0, 2), labels(1), None]
    found = evaluate(truth, images, results, class_map)
    # Found 2, told 3, true 4.
    assert value_of(found) == pytest.approx(2 * 2 / 7)
    with pytest.raises(DataError, match="no row for 1 of 1 image: nobody"):
        load_truth(tmp_path / "t.csv", images_of(tmp_path, "nobody"), multi_label=True)
    with pytest.raises(DataError, match="'classify' is judged by a CSV with columns image,class; give that"):
        check_truth(truth, images, [(1, 1)] * 3, "classify")
    (tmp_path / "t.csv").write_text("image,class\nx,a;d\n")
    strange = load_truth(tmp_path / "t.csv", images[:1], multi_label=True)
    with pytest.raises(DataError, match=r"x is of class 'd', which is no label"):
        map_classes(strange, ["a", "b"], None, 2)


def test_the_bounds_of_f1_know_one_image_more():
    perfect = LabelEvaluation(*[np.ones(20)] * 3)
    assert judge_accuracy(perfect, 0.99, 0).verdict == "INCONCLUSIVE"
    assert judge_accuracy(perfect, 0.7, 0).verdict == "PASS"
    lost = perfect.with_copy(0, found=False)
    assert value_of(lost) == pytest.approx(20 / 21)
    assert value_of(lost.with_perfect(0)) == pytest.approx(21 / 22)


def test_label_sets_agree_by_f1():
    found = agreement([labels(0, 1), labels(), labels(2)], [labels(1, 3), labels(), labels(2)])
    assert found.value == pytest.approx(2 * 2 / 6)
    assert found.unit == "labels matched (F1 over all labels)"
    assert found.said(["x", "y", "z"]).startswith("2 of 3 labels matched, 1 extra in x, 1 missing in x")
    (moved,) = relabelled([labels(0, 1)], np.array([5, 4]))
    assert moved.class_ids.tolist() == [5, 4]
    assert agreement([labels(1)] * 3, [labels(1)] * 3).reference_empty
    assert str(nothing_found([labels(), None, labels()])).startswith("not one label on any of 2 images")
    assert seen([labels(0, 1), labels()], ["a", "b"]) == "2 labels on 2 images, 1 of them without one, most often a (1)"


# ---- agreement of dense maps


def dense(*rows):
    return DenseMap(np.array(rows, np.float32))


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        (dense([1, 2], [3, 4]), dense([1, 2], [3, 4]), 1),
        (dense([1, 2], [3, 4]), dense([1.009, 1.99], [3, 5]), 0.75),
        (dense([1, 2], [3, 4]), dense([1.02, -2], [-3, 40]), 0),
        (dense([np.nan, 0], [0, -1]), dense([np.nan, 0], [1e-9, -1.005]), 2 / 3),
        (dense([np.nan, np.inf]), dense([1, np.inf]), 0.5),
        (dense([1, 2]), dense([1], [2]), 0),
    ],
)
def test_dense_maps_agree_by_pixels_within_a_hundredth(reference, candidate, expected):
    for a, b in ((reference, candidate), (candidate, reference)):
        assert agreement([a], [b]).by_image.tolist() == [expected]
    assert agreement([reference], [candidate]).unit == "values within 1% of each other, share of pixels"


def test_a_dense_answer_that_never_changes_is_empty():
    one = dense([1, 2], [np.nan, 4])
    assert agreement([one, one], [one, one]).reference_empty
    assert agreement([dense([3, 3])], [dense([3, 3])]).reference_empty
    assert not agreement([one, dense([1, 2])], [one, dense([1, 2])]).reference_empty
    assert seen([one], None) == "values from 1 to 4 on 1 image, median 2, none in 25.0% of the pixels"
