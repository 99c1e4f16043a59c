"""Pictures as bytes: exact where that is small, small where it is a photograph, and a picture either way."""

import cv2
import numpy as np

from seatrial.drawing.encoded import EXACT, encoded


def read(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_a_drawing_is_kept_to_the_last_bit():
    drawing = np.full((300, 340, 3), 255, np.uint8)
    cv2.rectangle(drawing, (40, 50), (200, 220), (0, 159, 230), 2)
    data = encoded(drawing)
    assert data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(read(data), drawing)


def test_a_photograph_is_small_and_looks_the_same():
    rng = np.random.default_rng(5)
    photo = cv2.resize(rng.uniform(0, 255, (20, 24, 3)).astype(np.float32), (340, 300), interpolation=cv2.INTER_CUBIC)
    photo = np.clip(photo + rng.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)
    data = encoded(photo)
    exact = cv2.imencode(".png", photo)[1].tobytes()
    assert len(exact) > EXACT
    assert len(data) < len(exact) / 5
    assert np.abs(read(data).astype(int) - photo).mean() < 5
