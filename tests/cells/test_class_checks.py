"""Labels, truth and warnings of a whole plan, before its first cell; and what the terminal shows of them."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from seatrial.cells.preflight import preflight
from seatrial.errors import DataError, ModelError
from seatrial.plan.load import load_plan
from seatrial.report.tables import print_warnings
from seatrial.warning import Warning

DETECTOR = {
    "inputs": {"x": {"shape": ["batch", 3, 8, 8]}},
    "outputs": {"y": {"shape": ["batch", 7, 84], "values": "channel_mean"}},
    "latency_ms": [0.2],
}
BASE = "\n  baseline:\n    model: d.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"


@pytest.fixture
def ready(workspace):
    """Preflight of a plan with a head of three classes; `post` is its postprocess, `candidate` what the second changes."""
    (workspace.folder / "d.fake.json").write_text(json.dumps(DETECTOR))

    def check(post, candidate="", truth=None, tags=None, mode="stretch", **parts):
        given = []
        if truth is not None:
            name = "t.csv" if isinstance(truth, str) else "t.json"
            (workspace.folder / name).write_text(truth if isinstance(truth, str) else json.dumps(truth))
            given.append(f"annotations: {name}")
        if tags is not None:
            (workspace.folder / "tags.csv").write_text(tags)
            given.append("tags: tags.csv")
        second = f"  candidate: {{extends: baseline, {candidate}}}\n" if candidate else ""
        pipelines = f"{BASE.replace('stretch', mode)}    postprocess: {{{post}}}\n{second}"
        images = f"{{{', '.join(['path: images', *given])}}}"
        return preflight(load_plan(workspace.plan(images=images, pipelines=pipelines, **parts)), False, lambda _: None)

    return check


def coco(*categories, image_id=1):
    return {
        "images": [{"id": i, "file_name": f"{i - 1}.png", "height": 12, "width": 16} for i in range(1, 5)],
        "annotations": [{"id": 1, "image_id": image_id, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": i, "name": n} for i, n in enumerate(categories, 1)],
    }


DETECT = "task: detect, format: yolov8"


def test_a_sound_plan_has_nothing_to_say(ready):
    found = ready(f"{DETECT}, labels: [a, b, c]", truth=coco("a", "b", "c"))
    assert found.warnings == []
    assert found.class_maps["baseline"].ids == (1, 2, 3)


# Postprocess, candidate, truth; then words of the warnings.
TOLD = [
    (DETECT, "", coco("a", "b", "c"), ["the model has no labels: its 3 classes are taken for the categories in order"]),
    (f"{DETECT}, labels: [A, b, c]", "", coco("a", "b", "c"), ["'A' = 'a'"]),
    (f"{DETECT}, labels: [a, b, x]", "", coco("a", "b"), ["1 of the model's 3 classes are no category of the truth: x"]),
    (f"{DETECT}, labels: [a, b, c]", "postprocess: {labels: [a, b, x]}", coco("a", "b"), [
        "baseline: 1 of the model's 3 classes", "candidate: 1 of the model's 3 classes",
        "candidate against baseline: it alone has 1 class, which nothing matches: x",
        "candidate against baseline: it lacks 1 class",
    ]),
    (f"{DETECT}, labels: [a, b, c]", "postprocess: {labels: [x, y, z]}", None, [
        "candidate against baseline: no class of the two is called alike: 3 labels: x, y, z against 3 labels: a, b, c",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("post", "candidate", "truth", "said"), TOLD, ids=range(len(TOLD)))
def test_what_was_chosen_is_said(ready, post, candidate, truth, said):
    told = ready(post, candidate, truth).warnings
    assert len(told) == len(said), told
    for line, words in zip(told, said, strict=True):
        assert words in str(line)


def test_pipelines_that_know_unlike_parts_of_the_truth_are_said(ready):
    truth = coco("a", "b", "c")
    truth["annotations"].append({"id": 2, "image_id": 2, "category_id": 2, "bbox": [1, 1, 5, 5]})
    told = ready(f"{DETECT}, labels: [a, b, c]", "postprocess: {labels: [a, x, c]}", truth).warnings
    assert any("unlike classes of the truth's 2 (baseline 2, candidate 1)" in str(t) for t in told)


@pytest.mark.parametrize(
    ("post", "truth", "error", "said"),
    [
        (f"{DETECT}, labels: [a, b]", None, ModelError, "3 classes from the head, but there are 2 labels"),
        (DETECT, coco("a", "b"), DataError, "3 classes; the truth has 2 categories"),
        (f"{DETECT}, class_ids: coco91", coco("a", "b"), DataError, "heads of 91 classes"),
        (f"{DETECT}, class_ids: {{0: z}}", coco("a", "b"), DataError, "names category 'z'"),
        (DETECT, coco("a", "b", "c", image_id="1"), DataError, "'1', where 'images' has 1, 2"),
        (DETECT, "image,class\n", DataError, "no class for 4 of 4 images: "),
    ],
)
def test_what_cannot_be_judged_is_refused(ready, post, truth, error, said):
    with pytest.raises(error) as e:
        ready(post, truth=truth)
    assert said in str(e.value)


def test_the_users_own_stage_is_judged_where_its_classes_are_named(workspace):
    (workspace.folder / "t.csv").write_text("image,class\n" + "".join(f"{i}.png,cat\n" for i in range(4)))
    (workspace.folder / "mine.py").write_text("def decode(outputs, sizes_hw):\n    return [None] * len(sizes_hw)\n")
    for extra, known in (("", False), (", labels: [dog, cat]", True), (", class_ids: {1: cat}", True)):
        pipelines = (
            "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8]}\n"
            f"    postprocess: {{python: 'mine:decode'{extra}}}\n"
        )
        plan = workspace.plan(images="{path: images, annotations: t.csv}", pipelines=pipelines, parity="")
        found = preflight(load_plan(plan), True, lambda _: None)
        assert (found.class_maps["only"] is not None) == known
        assert any(w.code == "no-accuracy" for w in found.warnings) == (not known)


def test_tags_and_files_left_out_are_said(ready, workspace):
    (workspace.folder / "images" / "notes.heic").write_bytes(b"x")
    found = ready(f"{DETECT}, labels: [a, b, c]", tags="image,tag\n0.png,day\n9.png,day\n")
    assert found.tags == {"0.png": ["day"]}
    assert any("notes.heic" in str(w) for w in found.warnings)
    assert any("tags 1 image that the trial does not have: 9.png" in str(w) for w in found.warnings)


def test_images_of_extreme_shapes_share_a_line(ready, workspace):
    for i in range(7):
        workspace.image(f"long{i}.png", np.zeros((400, 1, 3), np.uint8))
    copies, line = ready(f"{DETECT}, labels: [a, b, c]", mode="letterbox").warnings
    assert str(copies).startswith("6 images the same as another, byte for byte (long1.png = long0.png")
    assert str(line).startswith(
        "pipeline baseline reduces 7 images so far that little of it is left: long0.png (400 × 1 to"
    )
    assert str(line).endswith(", …")


def printed(cells_of, cells):
    text = io.StringIO()
    print_warnings(Console(file=text, width=100), cells_of, cells)
    return text.getvalue()


def test_warnings_are_printed_once_with_their_cells():
    shown = printed(
        {
            Warning("image-sizes", "2 images differ"): [],
            Warning("image-sizes", "3 images differ"): [],
            Warning("run-queue", "waited 3.5 ms for a core", "pin it"): ["a"],
            Warning("raw-logits", "a gives 3 to 4"): ["a"],
            Warning("run-queue", "waited 1.2 s for a core, preempted", "pin it"): ["b", "c"],
            Warning("raw-logits", "c gives 3 to 4"): ["c"],
            Warning("not-converged", "NOT CONVERGED: so"): ["a"],
        },
        4,
    )
    assert shown == (
        "warning: 2 images differ\n"
        "warning: 3 images differ\n"
        "warning: waited 3.5 ms for a core; pin it; 1 more like it (in 3 of 4 cells)\n"
        "warning: a gives 3 to 4 (in 1 of 4 cells)\n"
        "warning: c gives 3 to 4 (in 1 of 4 cells)\n"
    )
    assert printed({Warning("steal", "only here"): ["a"]}, 1) == "warning: only here\n"
    assert printed({}, 1) == ""


def test_warnings_of_cells_that_differ_in_figures_alone_share_a_line():
    told = {Warning("overflow", f"output y is infinite on {n} images"): [str(n)] for n in (1, 2, 3)}
    told |= {Warning("overflow", "output z is infinite on 1 image"): ["4"]}
    said = " ".join(printed(told, 4).split())
    assert "output y is infinite on 1 images; 2 more like it (in 3 of 4 cells)" in said
    assert said.count("warning:") == 2


def test_a_truth_of_another_number_of_keypoints_ends_the_run_before_it_begins(ready):
    pose = "task: pose, format: yolov8, keypoints: [1, 2], labels: [a]"
    truth = coco("a")
    truth["annotations"][0]["keypoints"] = [1, 2, 2] * 3
    with pytest.raises(DataError, match="each of the pipeline's 1 keypoints, got 9 numbers in each annotation"):
        ready(pose, truth=truth)
    truth["annotations"][0]["keypoints"] = [1, 2, 2]
    assert [w.code for w in ready(pose, truth=truth).warnings] == ["default-sigmas"]
