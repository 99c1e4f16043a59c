"""CTC's best path against a loop over steps, and dictionaries that do not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seatrial.kernels.geometry import fit
from seatrial.kernels.results import Text
from seatrial.kernels.text import TextDecoder, alphabet_problem

ONE = fit((8, 8), (8, 8), "stretch")
ABC = ("a", "b", "c")
VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0, -2.0, np.nan, np.inf, -np.inf]) | st.floats(-8, 8, width=32)


def naive(steps, alphabet, blank):
    """One step after the other: the text, and the values that are kept."""
    text, kept, before = "", [], blank
    for row in steps.tolist():
        best, value = blank, -np.inf
        for k, v in enumerate(row):
            if v > value:
                best, value = k, v
        if best not in (blank, before):
            text += alphabet[best]
            kept.append(value)
        before = best
    return text, kept


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.just(5)), elements=VALUES),
    st.sampled_from(["first", "last"]),
)
def test_texts_are_those_of_a_loop_over_steps(steps, blank):
    decoder = TextDecoder(ABC, blank=blank, space=True)
    found = decoder([steps[None]], [ONE])[0]
    text, kept = naive(steps, decoder.alphabet, 0 if blank == "first" else 4)
    assert found.text == text
    score = np.mean(kept, dtype=np.float64) if kept else 0.0
    # Below the least normal float32 there are no six digits.
    np.testing.assert_allclose(found.score, score, rtol=1e-6, atol=1e-38)
    assert (found.code_points.dtype, found.score.dtype, found.score.shape) == (np.uint32, np.float32, ())


def test_repeats_are_one_character_and_a_blank_between_makes_two():
    path = [0, 1, 1, 0, 1, 2, 2, 3, 0, 0, 3]
    steps = np.full((len(path), 4), 0.1, np.float32)
    steps[np.arange(len(path)), path] = np.linspace(0.5, 0.9, len(path))
    found = TextDecoder(ABC)([steps[None]], [ONE])[0]
    assert found.text == "aabcc"
    # Of each run the first step, as in PaddleOCR.
    assert found.score == pytest.approx(steps[[1, 4, 5, 7, 10]].max(axis=1).mean(), abs=1e-6)


def test_logits_give_the_scores_of_their_softmax():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (3, 20, 7)).astype(np.float32)
    apart = np.exp(logits.astype(np.float64))
    chances = (apart / apart.sum(axis=2, keepdims=True)).astype(np.float32)
    characters = ("x", "y", "z", "ö", "漢", "𝄞")
    ours = TextDecoder(characters, activation="softmax")([logits], [ONE] * 3)
    plain = TextDecoder(characters)([chances], [ONE] * 3)
    assert [t.text for t in ours] == [t.text for t in plain]
    assert {*"".join(t.text for t in ours)} == {*characters}
    np.testing.assert_allclose([t.score for t in ours], [t.score for t in plain], rtol=1e-5)


def test_any_layout_in_memory_and_half_precision_read_alike():
    rng = np.random.default_rng(3)
    steps = rng.uniform(0, 1, (2, 9, 4)).astype(np.float16)
    wide = np.zeros((2, 18, 8), np.float16)
    wide[:, ::2, ::2] = steps
    expected = TextDecoder(ABC)([steps.astype(np.float32)], [ONE] * 2)
    for tensor in (steps, wide[:, ::2, ::2], np.asfortranarray(steps)):
        found = TextDecoder(ABC)([tensor], [ONE] * 2)
        assert [(t.text, t.score.item()) for t in found] == [(t.text, t.score.item()) for t in expected]


def test_a_class_may_be_several_characters_and_an_empty_text_has_a_score_of_nought():
    decoder = TextDecoder(("ch", "ß"), blank="last")
    steps = np.array([[[0.9, 0, 0.1], [0, 0.8, 0.1]], [[0.1, 0.2, 0.9], [0, 0, 1]]], np.float32)
    first, second = decoder([steps], [ONE] * 2)
    assert (first.text, second.text, float(second.score)) == ("chß", "", 0.0)


@pytest.mark.parametrize(
    ("classes", "characters", "space", "blank", "said"),
    [
        (6625, 6623, False, "first", "the dictionary lacks a line, and each character behind it is read as its neighbour, or the class is a space"),
        (6624, 6623, True, "first", "no class is left for a space: set space: false"),
        (37, 37, False, "last", "as many as classes: take the blank out of the dictionary"),
        (37, 37, True, "last", "take the blank or the space out of the dictionary"),
        (97, 6623, True, "first", "97 classes: a blank (first), a space and 95 characters, but the dictionary has 6623; give the"),
    ],
)  # fmt: skip
def test_a_count_that_does_not_fit_says_which_of_blank_and_space_is_missing(classes, characters, space, blank, said):
    assert said in alphabet_problem(classes, characters, space, blank)


@pytest.mark.parametrize(("classes", "space"), [(4, False), (5, True)])
def test_a_count_that_fits_is_no_problem(classes, space):
    assert alphabet_problem(classes, 3, space, "first") == ""


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (np.zeros((1, 4), np.float32), r"expected one output \(B, steps, classes\) of floats"),
        (np.zeros((1, 3, 0), np.float32), "expected one output"),
        (np.zeros((1, 3, 4), np.int32), "of floats, got .*int32"),
        (np.zeros((1, 3, 6), np.float32), "has 6 classes: a blank .first. and 5 characters, but the dictionary has 3"),
        (np.zeros((3, 1, 4), np.float32), r"expected outputs for 1 image, got a tensor of shape \(3, 1, 4\)"),
    ],
)
def test_other_outputs_are_refused(tensor, said):
    with pytest.raises(ValueError, match=said):
        TextDecoder(ABC)([tensor], [ONE])


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"characters": ()}, "characters: expected"), ({"blank": "middle"}, "blank: expected"),
     ({"activation": "sigmoid"}, "activation: expected")],
)  # fmt: skip
def test_other_arguments_are_refused_by_name(settings, said):
    with pytest.raises(ValueError, match=said):
        TextDecoder(**{"characters": ABC, **settings})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_comes_back_from_its_code_points(text):
    assert Text.of(text, 0.5).text == text


def test_half_of_a_surrogate_pair_is_no_text():
    with pytest.raises(ValueError, match="surrogates"):
        Text.of("\ud800", 0.5)
