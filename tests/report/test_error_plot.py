"""Errors over a graph, drawn: a dot a tensor, infinite ones at the top, the nodes to blame by name."""

import math

from seatrial.localise import Jump, TensorError
from seatrial.report.error_plot import error_plot


def tensor(position, error, own=0.0):
    return TensorError(
        tensor=f"t{position}", node=f"n{position}", operator="Conv", position=position, error=error, own_error=own
    )


def jump(position, own):
    return Jump(
        node=f"/layer.{position}/Conv",
        operator="Conv",
        other_node="o",
        other_operator="Conv",
        tensor=f"t{position}",
        position=position,
        error_in=0.0,
        error_out=own,
        own_error=own,
        tolerance=3e-5,
    )


def test_the_nodes_to_blame_are_named_and_nothing_is_lost():
    errors = [tensor(0, 0.0), tensor(1, 0.2, 0.2), tensor(2, math.inf, math.inf), tensor(5, 0.3, None)]
    svg = error_plot(errors, [jump(1, 0.2), jump(2, math.inf)])
    assert svg.startswith("<svg")
    for said in ("/layer.1/Conv", "/layer.2/Conv", "to blame", "on equal inputs", "between both runs"):
        assert said in svg
    assert svg == error_plot(errors, [jump(1, 0.2), jump(2, math.inf)])


def test_without_a_fault_nobody_is_blamed_and_without_a_tensor_there_is_no_plot():
    assert "to blame" not in error_plot([tensor(0, 1e-7), tensor(1, 1e-6)], [])
    assert error_plot([], []) == ""
