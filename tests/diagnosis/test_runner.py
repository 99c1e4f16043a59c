"""What a diagnosis keeps of its images: bounded, never written to, and found again where it has fallen out."""

import numpy as np
import pytest
from result_candidates import Shown, Taps, demo_images, demo_way, way

import seatrial.diagnosis.diagnose as diagnose
from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.limits import Limits
from seatrial.diagnosis.mutations.model import _together
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.stretch import Stretch


def small(encoded):
    return Runner(encoded, memory_bytes=4 << 20)


def test_what_is_kept_of_a_candidate_is_bounded_and_the_same_when_it_is_read_again():
    encoded = demo_images()
    names = [f"{k}.jpg" for k in range(20)]
    loads = []

    class Big:
        names = tuple(f"{k}.jpg" for k in range(20))
        stages = frozenset({"decoded", "resized"})

        def load(self, name):
            loads.append(name)
            return Taps(decoded=np.full((600, 800, 3), len(name), np.uint8), resized=np.zeros((320, 320, 3), np.uint8))

    runner = small(lambda _i: next(iter(encoded.values())))
    stretch = Stretch("decoded", "resized", names, Big(), runner, demo_way(), Limits())
    first = [stretch.distance(demo_way(), i) for i in range(20)]
    assert [stretch.distance(demo_way(), i) for i in range(20)] == first
    assert len(loads) == 40
    assert 0 < runner.bytes <= 4 << 20
    stretch.candidate(19)
    assert len(loads) == 40


def test_what_is_kept_cannot_be_written_to():
    data = list(demo_images().values())
    runner = Runner(data.__getitem__)
    for stage in ("decoded", "resized", "input"):
        with pytest.raises(ValueError, match="read-only"):
            runner.at(demo_way(), 0, stage).value[:] = 0


IN_PLACE = """
import cv2, numpy as np

def prep(image):
    image[:] = 255 - image
    small = cv2.resize(image, (320, 320))
    return np.ascontiguousarray((small[..., ::-1].astype(np.float32) / 255).transpose(2, 0, 1)[None])

def post(outputs, sizes_hw):
    import seatrial
    y = outputs["output0"]
    y *= 0.5
    return [seatrial.Embedding(y[0, :, :8].reshape(-1).copy())]
"""


def test_stages_that_work_in_place_change_nothing_for_others(tmp_path, monkeypatch):
    """The very same code is equal, however often it is asked."""
    (tmp_path / "in_place.py").write_text(IN_PLACE)
    monkeypatch.setattr(diagnose, "Runner", small)
    own = demo_way().subject.model.path
    spec = {"preprocess": {"python": "in_place:prep"}, "postprocess": {"python": "in_place:post"}}
    (tmp_path / own.name).symlink_to(own)
    reference = way(tmp_path / own.name, {"decode": {"color": "bgr"}, **spec}, allow_code=True)
    encoded = dict(list(demo_images().items())[:6])
    fresh = Runner(list(encoded.values()).__getitem__, 1 << 30)
    taps = {
        name: Taps(
            decoded=fresh.at(reference, i, "decoded").value.copy(),
            input=fresh.at(reference, i, "input").value,
            outputs={"output0": fresh.at(reference, i, "outputs").value[0]},
            results=fresh.at(reference, i, "results").value,
        )
        for i, name in enumerate(encoded)
    }
    stages = frozenset({"decoded", "input", "outputs", "results"})
    compared = compare(reference, encoded.__getitem__, list(encoded), Shown(taps, stages), time_s=30)
    assert [p.differing for p in compared.parts] == [()] * 4


def test_rows_of_a_batch_that_does_not_fit_into_memory_are_found():
    encoded = dict(list(demo_images().items())[:4])
    runner = Runner(list(encoded.values()).__getitem__)
    taps = {
        n: Taps(outputs={"output0": runner.at(demo_way(), i, "outputs").value[0] + np.float32(1)})
        for i, n in enumerate(encoded)
    }
    shown = Shown(taps, frozenset({"outputs"}))
    stretch = Stretch(
        "encoded", "outputs", list(encoded), shown, Runner(list(encoded.values()).__getitem__, 1), demo_way(), Limits()
    )

    mixed = _together(demo_way().subject, 4).change(demo_way())
    assert stretch.made(mixed, 2).value[0].shape == taps[list(encoded)[2]].outputs["output0"].shape
