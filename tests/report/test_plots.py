"""A trial's plots: whole SVG, the same bytes for the same record, no ids that meet another plot's, names as they are."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import records
from records import measured
from svg import SVG, lines, texts, ticks

from seatrial.report.plots import DOTS, STAGE_COLOURS, distributions, waterfall
from seatrial.stages import PIPELINE_STAGES


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


@pytest.mark.parametrize("low", [3e-9, 25e-6, 0.0244, 0.424, 3000.0])
@pytest.mark.parametrize("ratio", [1.0, 1.0001, 1.18, 2.1, 60.0, 1e7])
def test_a_latency_has_a_scale(low, ratio):
    c = cell()
    (labels,) = ticks(distributions([c], {c.id: np.array([low, low * ratio])}, ["only"]), "x")
    assert len(set(labels)) == len(labels) >= 4


@pytest.mark.parametrize(("ms", "unit"), [(1e-5, "ns"), (0.004, "µs"), (3.0, "ms"), (2500.0, "s")])
def test_where_the_time_goes_has_a_scale_in_a_unit_that_suits_it(ms, unit):
    c = records.cell(measurement=records.measurement(table(9, ms=(ms,) * 4)))
    svg = waterfall([c])
    assert f"mean time an image, {unit}" in texts(svg)
    assert [t.rpartition(" ")[2] for t in texts(svg) if re.fullmatch(r"[0-9.]+ \S+", t)] == [unit]
    assert len(ticks(svg, "x")[0]) >= 4


def test_a_stage_that_only_a_later_bar_has_is_in_the_legend():
    svg = waterfall([cell(stages=("infer",)), cell("other")])
    assert [t for t in texts(svg) if t in STAGE_COLOURS] == list(STAGE_COLOURS)[1:]


NO_BOUND = "at least this; too few requests for an upper bound"


@pytest.mark.parametrize(
    ("p50", "p90", "p99", "firm", "dashed", "said"),
    [
        ((9, 11), (11, 14), (13, 19), 6, 0, ["p50, p90, p99 (long to short)", "95 % interval"]),
        # As a table says it: '≥ 11 ms', '–'.
        ((9, 11), (11, None), (None, None), 2, 1, ["p50", "95 % interval", f"p90: {NO_BOUND}"]),
        ((9, None), (11, None), (12, None), 0, 3, [f"p50, p90, p99 (long to short): {NO_BOUND}"]),
        ((None, None), (None, None), (None, None), 0, 0, []),
    ],
)
def test_a_percentile_without_an_upper_bound_has_no_firm_mark(p50, p90, p99, firm, dashed, said):
    c = cell()
    known = {
        name: measured(0.010, *(None if end is None else end / 1e3 for end in ends))
        for name, ends in (("p50", p50), ("p90", p90), ("p99", p99))
    }
    stages = c.measured.stages | {"end_to_end": c.measured.stages["end_to_end"].model_copy(update=known)}
    c = records.with_measurement(c, stages=stages)
    svg = distributions([c], {c.id: np.linspace(0.008, 0.02, 10)}, ["only"])
    drawn = [style for style, _ in lines(svg)]
    assert (drawn.count(False), drawn.count(True)) == (firm, dashed)
    assert [t for t in texts(svg) if t.startswith("p") or "interval" in t] == said


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
