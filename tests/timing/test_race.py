"""Interleaved rounds: order, counts, ratios; and that the contests' contenders do the same work."""

import time

import cv2
import numpy as np
import pytest

from seatrial.contests import postprocessing, preprocessing
from seatrial.contests.contest import Contest
from seatrial.contests.kernels import contests
from seatrial.contests.table import run_contest
from seatrial.demo import PICTURE
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import DetectionDecoder
from seatrial.timing.race import LEAST_ROUNDS, race


def test_every_contender_runs_once_a_round_in_changing_order():
    calls = []
    result = race({n: lambda n=n: calls.append(n) for n in "abc"}, max_time_s=10, most_rounds=30)
    rounds = [calls[i : i + 3] for i in range(3, len(calls), 3)]
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len({tuple(r) for r in rounds}) > 3
    assert {len(d) for d in result.durations_s.values()} == {30}


def test_time_ends_a_race_but_not_before_the_least_rounds():
    assert len(race({"a": lambda: None}, max_time_s=0).durations_s["a"]) == LEAST_ROUNDS


def test_a_ratio_is_the_median_of_paired_rounds():
    result = race({"a": lambda: None, "b": lambda: None}, max_time_s=0)
    result.durations_s["a"][:] = [2.0] * 10 + [900.0]
    result.durations_s["b"][:] = [1.0] * 11
    e = result.ratio("a", "b")
    assert (e.value, e.low) == (2.0, 2.0)
    assert result.median_s("a") == 2.0


def test_a_line_names_the_fastest_of_its_group_and_turns_a_floor_round():
    work = np.zeros(200_000)
    slow, fast = (lambda: [work.sum() for _ in range(9)]), (lambda: [work.sum() for _ in range(3)])
    group, floor = run_contest(
        Contest("w", fast, {"g": {"slow": slow, "mid": lambda: (fast(), fast())}}, work.sum), 0.01
    )
    assert (group.peer, group.is_floor, floor.is_floor) == ("mid", False, True)
    assert group.ratio > 1 < floor.ratio


@pytest.mark.parametrize("size_wh", [(640, 480), (1280, 720), (1920, 1080), (333, 777)])
def test_all_letterboxes_give_the_same_tensor(size_wh):
    image = cv2.resize(cv2.imread(str(PICTURE)), size_wh)
    contest = preprocessing.letterbox(image)
    ours = contest.ours().copy()
    for name, work in contest.groups["as written"].items():
        np.testing.assert_allclose(work(), ours, atol=0.51 / 255 if "Params" in name else 1e-6, err_msg=name)
    shared = contest.ours()
    for name, work in (contest.groups["buffers reused"] | contest.groups["tuned by hand"]).items():
        shared.fill(-1)
        work()
        if "Params" in name or "NumPy" in name:  # blobFromImage has no place to write into
            np.testing.assert_allclose(shared, ours, atol=0.51 / 255, err_msg=name)


def test_the_floor_knows_which_rows_a_linear_resize_reads():
    rows = preprocessing.rows_of_linear
    assert rows(fit((480, 640), (640, 640), "letterbox")).tolist() == list(range(480))
    assert rows(fit((720, 1280), (640, 640), "letterbox")).tolist() == list(range(720))
    assert rows(fit((1080, 1920), (640, 640), "letterbox")).tolist() == list(range(1, 1080, 3))
    assert len(rows(fit((2160, 3840), (640, 640), "letterbox"))) == 720


def test_both_imagenet_pipelines_agree():
    contest = preprocessing.imagenet(cv2.imread(str(PICTURE)))
    np.testing.assert_allclose(contest.groups["as written"]["Pillow resize, crop, NumPy"](), contest.ours(), atol=1e-5)


def test_all_decoders_find_the_same_boxes():
    head, geometry = postprocessing.yolo_head(), fit((720, 1280), (640, 640), "letterbox")
    ours = DetectionDecoder("yolov8")([head], [geometry])[0]
    assert len(ours) > 50
    for decode in (postprocessing.decode_with_numpy, postprocessing.decode_in_a_loop):
        boxes, scores, classes = decode(head, geometry)
        order = np.argsort(-scores, kind="stable")
        np.testing.assert_array_equal(classes[order], ours.class_ids)
        np.testing.assert_allclose(boxes[order], ours.boxes_xyxy, atol=1e-2)
        np.testing.assert_array_equal(scores[order], ours.scores)


def test_the_other_contenders_agree_too():
    found = {c.name.split()[0]: c for c in contests(cv2.imread(str(PICTURE)), [(64, 48)])}
    ids, scores = found["softmax"].ours()
    for group in found["softmax"].groups.values():
        for work in group.values():
            best, p = work()
            np.testing.assert_array_equal(best, ids)
            np.testing.assert_allclose(p, scores, rtol=2e-6)
    ours = found["argmax"].ours()[0].class_ids
    for group in found["argmax"].groups.values():
        for name, work in group.items():
            # At the edge of a cell OpenCV rounds in fixed point, ours in whole numbers.
            assert (ours == work()).mean() > 0.95, name


def test_few_rounds_of_slow_work_are_bounded_in_time():
    contenders = {"a": lambda: time.sleep(0.02), "b": lambda: None}
    found = race(contenders, 0, least_rounds=5, least_rounds_time_s=0)
    assert {name: len(d) for name, d in found.durations_s.items()} == {"a": 1, "b": 1}
    found = race(contenders, 0, least_rounds=5)
    assert {name: len(d) for name, d in found.durations_s.items()} == {"a": 5, "b": 5}
