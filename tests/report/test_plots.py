"""A trial's plots: whole SVG, the same bytes for the same record, no ids that meet another plot's, names as they are."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import records

from seatrial.report.plots import DOTS, STAGE_COLOURS, distributions, waterfall
from seatrial.stages import PIPELINE_STAGES

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [t.text for t in ET.fromstring(svg).iter(f"{SVG}text")]


def table(rows, ms=(1.0, 2.0, 5.0, 0.5)):
    stages = np.tile((np.array(ms) * 1e6).astype(np.int64), (rows, 1)) + np.arange(rows)[:, None]
    return np.column_stack([np.arange(rows) * 10**7, stages, stages.sum(1)])


def cell(pipeline="only", rows=50, stages=PIPELINE_STAGES, **fields):
    own = table(rows)
    columns = [0, *(1 + PIPELINE_STAGES.index(s) for s in stages), -1]
    return records.cell(pipeline, measurement=records.measurement(own[:, columns], stages), **fields)


@pytest.mark.parametrize(
    ("cells", "totals"),
    [
        ([cell()], ["8.5 ms"]),
        ([cell(batch=2)], ["4.25 ms"]),
        ([cell(), cell("other", batch=4)], ["8.5 ms", "2.13 ms"]),
        ([cell(stages=("infer",))], ["5 ms"]),
        ([cell(rows=1)], ["8.5 ms"]),
        ([cell(f"p{k}") for k in range(40)], ["8.5 ms"] * 40),
    ],
)
def test_a_bar_is_as_long_as_an_images_stages(cells, totals):
    svg = waterfall(cells)
    assert [t for t in texts(svg) if re.fullmatch(r"[0-9.]+ ms", t)] == totals
    named = [t for t in texts(svg) if t in STAGE_COLOURS]
    assert named == [s for s in STAGE_COLOURS if s in cells[0].stages]
    assert svg == waterfall(cells), "the same record, the same bytes"


ODD = ["<b>&amp;", "grün ✓", "a\"b'c", "100 %", "x" * 80]


@pytest.mark.parametrize("name", ODD)
def test_names_are_shown_as_they_are(name):
    c = cell(name)
    for svg in (waterfall([c]), distributions([c], {c.id: np.full(9, 0.0085)}, [name])):
        assert any(t.startswith(name) for t in texts(svg) if t), "no markup"


@pytest.mark.parametrize("rows", [1, 2, 99, DOTS, DOTS + 1, 5000])
def test_the_extremes_are_always_drawn_and_never_more_than_a_page_holds(rows):
    c = cell()
    seconds = np.random.default_rng(0).permutation(np.linspace(0.001, 0.1, rows))
    svg = distributions([c], {c.id: seconds}, ["only"])
    root = ET.fromstring(svg)
    dots = [float(u.get("x")) for u in root.iter(f"{SVG}use") if "clip-path" not in u.attrib or u.get("y")]
    crowd = max((len(list(g.iter(f"{SVG}use"))) for g in root.iter(f"{SVG}g") if "PathCollection" in g.get("id", "")), default=0)  # fmt: skip
    assert crowd == min(rows, DOTS)
    assert np.isfinite(dots).all()


@pytest.mark.parametrize("seconds", [[0.005] * 60, [1e-9, 1.0], [3000.0]])
def test_latencies_that_are_all_the_same_or_far_apart(seconds):
    c = cell()
    svg = distributions([c], {c.id: np.array(seconds)}, ["only"])
    assert "nan" not in svg.lower().replace("nance", "")


def test_ids_and_links_are_the_plots_own():
    c = cell()
    plots = {"waterfall": waterfall([c]), "distributions": distributions([c], {c.id: np.full(99, 0.01)}, ["only"])}
    seen = []
    for name, svg in plots.items():
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(set(ids)) == len(ids)
        assert all(i.startswith(f"{name}-") for i in ids)
        links = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
        assert set(links) <= set(ids)
        seen += ids
        head = svg[: svg.index(">")]
        assert "viewBox" in head
        assert " width=" not in head, "it scales with the page"
        assert "<metadata" not in svg
    assert len(set(seen)) == len(seen)
