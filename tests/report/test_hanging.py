"""Sentences on a terminal: between which words they break, and where they go on."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from seatrial.report.hanging import hanging, sentence

WORDS = "wrong ones cost accuracy silently, and a name such as a[bold]c.onnx is shown whole"


def lines_of(draw, width):
    out = Console(file=io.StringIO(), width=width, color_system=None)
    draw(out)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [12, 40, 80, 100, 128])
@pytest.mark.parametrize("said", [WORDS, Text(WORDS)])
def test_nothing_is_cut_and_words_stay_whole(width, said):
    lines = lines_of(lambda out: hanging(out, ("warning: ", "bold"), said), width)
    assert max(map(len, lines)) <= width
    words = f"warning: {WORDS}".split()
    if width > max(map(len, words)) + len("warning: "):
        assert " ".join(lines).split() == words
        assert all(line.startswith(" " * len("warning: ")) for line in lines[1:])
    else:
        assert "".join(lines).replace(" ", "") == "".join(words)


def test_a_sentence_without_a_mark_goes_on_two_columns_in():
    first, *others = lines_of(lambda out: sentence(out, WORDS), 40)
    assert first.startswith("wrong")
    assert all(line.startswith("  ") and line[2] != " " for line in others)
