"""The list of runs: what of it is never cut, and what is left of a long path."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from seatrial.report.runs_text import cut, print_runs

RUN = "2026-11-30-030606-84fb"


def printed(rows, width):
    out = Console(file=io.StringIO(), width=width, color_system=None)
    print_runs(out, rows, Path("results"))
    return out.file.getvalue()


def row(plan, machine="a-machine-of-ours", **more):
    return {"run": RUN, "machine": machine, "verdict": "INCONCLUSIVE", "cells": 16, "wall_s": 58.5, "plan": plan} | more


@pytest.mark.parametrize("width", [80, 100, 128])
def test_names_are_whole_and_paths_are_told_apart(width, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    far = "/a/long/way/from/here/through/many/folders/trial-{}.yaml"
    here = [str(tmp_path / "here.yaml"), str(tmp_path / "m.onnx (plan in memory)")]
    said = printed([row(far.format(n)) for n in (1, 2)] + [row(path) for path in here], width)
    lines = said.splitlines()
    assert max(map(len, lines)) <= width
    assert said.count(RUN) == 4
    for end in ("trial-1.yaml", "trial-2.yaml", "  here.yaml", "  m.onnx (tried)"):
        assert any(line.rstrip().endswith(end) for line in lines), said


def test_a_machine_is_named_where_there_are_several():
    assert "a-machine-of-ours" not in printed([row("p.yaml")], 80)
    assert "another" in printed([row("p.yaml"), row("p.yaml", machine="another")], 80)


def test_what_is_compared_and_why_a_run_cannot_be_read_are_sentences():
    compared = "second.onnx on onnxruntime-cpu against first.onnx on openvino-cpu"
    why = "its record is damaged: expected a text, got nothing; run it again"
    said = printed([row(compared, kind="compare"), row("", why=why)], 80)
    assert "…" not in said
    assert all(word in said for word in (*compared.split(), *why.split()))


def test_a_comparison_of_pipelines_has_no_cells():
    said = printed([row("taps of line 3 against baseline", kind="parity", verdict="DIFFER", cells=0)], 100)
    assert "DIFFER" in said
    assert "–" in said
    assert "taps of line 3 against baseline" in said


def test_a_path_is_cut_in_its_middle():
    assert cut("short.yaml", 20) == "short.yaml"
    assert cut("/tmp/some/where/far/away/trial.yaml", 20) == "/tmp…away/trial.yaml"
