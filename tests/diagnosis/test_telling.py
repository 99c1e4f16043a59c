"""A picture is said to tell two mistakes apart only where one can."""

from result_candidates import demo_way

from seatrial.diagnosis.mutations.every import mutations_of
from seatrial.diagnosis.telling import one_and_the_same
from seatrial.history.records.diagnosis import Diagnosis, OtherFault
from seatrial.report.finding_words import alike_said


def test_mistakes_that_are_one_by_two_names_are_told_by_no_picture():
    way = demo_way()
    by_words = {m.what: m for m in mutations_of(way)}
    reshaped = by_words["reshapes HWC to CHW, which shuffles the pixels"]
    viewed = by_words["hands over the memory of a view that only says CHW"]
    swapped = next(m for m in by_words.values() if m.fault == "channel-order")
    unturned = next(m for m in by_words.values() if m.fault == "exif")
    assert one_and_the_same(way, [reshaped], [viewed], "input")
    assert not one_and_the_same(way, [reshaped], [swapped], "input")
    # Noise has no orientation: that nothing happens to it says nothing.
    assert not one_and_the_same(way, [unturned], [unturned], "decoded")


def test_what_is_one_and_what_only_looks_alike_are_said_apart():
    same = OtherFault(fault="non-contiguous", what="hands over a view", explained=1.0, same=True)
    near = OtherFault(fault="channel-order", what="feeds BGR", explained=1.0)
    found = Diagnosis(
        fault="layout-reshape", what="reshapes", stage="input", explained=1.0, exact=True, confirmed=8, alike=(same,)
    )
    assert alike_said(found) == "non-contiguous (hands over a view) does the very same: no picture tells"
    both = found.model_copy(update={"alike": (same, near), "telling": "saturated colours"})
    assert alike_said(both).endswith(
        "; these images cannot tell it from channel-order (feeds BGR); a picture with saturated colours would"
    )
