"""Pages of a bench and of a comparison: every section with its figures, plots that are SVG, nothing from outside."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import records

from seatrial.history.files import json_bytes, write_atomic
from seatrial.history.records import (
    Comparison,
    Decision,
    LoadResult,
    Measured,
    Noise,
    Pair,
    RatePoint,
    ShapeResult,
    Spike,
)
from seatrial.history.run_folder import RunFolder
from seatrial.jobs.summarise import exact, summarise_stages
from seatrial.report.html import write_report
from seatrial.units import format_seconds
from seatrial.warning import Warning


def table(count=200, service_ms=2.0, gap_ms=5.0, queue=True, seed=0):
    """Samples of a server, or of a closed loop: start, (queue,) infer, end to end."""
    rng = np.random.default_rng(seed)
    service = (service_ms * 1e6 * rng.lognormal(0, 0.05, count)).astype(np.int64)
    start = (np.arange(count) * gap_ms * 1e6).astype(np.int64) + 1_000_000_000
    waited = (rng.exponential(0.3e6, count)).astype(np.int64)
    columns = [start, waited, service, waited + service] if queue else [start, service, service]
    return np.stack(columns, axis=1)


def cell(point, load, rows, **fields):
    found = records.measurement(
        rows, ["queue", "infer"] if rows.shape[1] == 4 else ["infer"], throughput=exact(123.4, "images/s"),
        peak_memory=exact(1 << 20, "B"), cold_start=exact(0.01, "s"), affinity=(0,), io_policy="bound",
    )  # fmt: skip
    return records.cell("bench", point=point, **({"measurement": found, "load": load} | fields))


def point(rate, holds, tail, unserved=0):
    values = {
        p: records.measured(v, v * 0.9, v * 1.2) for p, v in (("p50", tail / 3), ("p90", tail * 0.8), ("p99", tail))
    }
    return RatePoint(
        offered_per_s=rate, achieved_per_s=rate * 0.99, n=400, unserved=unserved, tail=values["p99"], holds=holds, slow=7,
        expected_slow=(3, 12), **values
    )  # fmt: skip


def bench(cells, tables, folder, **fields):
    record = records.record(cells, id=folder.name, **fields)
    run = RunFolder(folder)
    folder.mkdir(exist_ok=True)
    write_atomic(folder / "record.json", json_bytes(record.to_json()))
    frames = []
    for c, rows in zip(cells, tables, strict=True):
        names = ["start_ns", *(f"{s}_ns" for s in c.stages if s != "service")]
        frames.append(pd.DataFrame(rows, columns=names).assign(cell=c.id, iteration=range(len(rows))))
    if frames:
        pd.concat(frames, ignore_index=True).to_parquet(folder / "samples.parquet", index=False)
    return Page(write_report(run).read_text())


class Page(HTMLParser):
    """What a reader sees, section by section. A page that is not well-formed, or needs a network, is none."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect", "image", "circle", "hr"})

    def __init__(self, html):
        super().__init__()
        self.html, self.open, self.ids, self.sources, self.headings, self.sections = html, [], [], [], [], {}
        self.feed(html)
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        assert all(s.startswith(("data:", "#")) for s in self.sources), self.sources
        assert not re.search(r"https?://(?!www\.w3\.org/)", html)
        assert "<script" not in html
        # Each plot by itself is XML, and draws something.
        self.plots = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.S)]
        assert all(p.get("viewBox") and len(list(p.iter())) > 20 for p in self.plots)

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "h2":
            self.headings.append("")
        for key, value in attributes:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "xlink:href"):
                self.sources.append(value)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "h2" in self.open:
            self.headings[-1] += data
        if self.headings:
            name = self.headings[-1]
            self.sections[name] = " ".join(f"{self.sections.get(name, '')} {data}".split())


@pytest.fixture
def search(tmp_path):
    curve = (
        point(60, "yes", 0.010), point(80, "yes", 0.020), point(105, "no", 0.4, unserved=7), point(88, "unsure", 0.049),
    )  # fmt: skip
    found = Measured(
        value=80,
        unit="requests/s",
        interval=(80, 105),
        n=400,
        warnings=(Warning("not-converged", "NOT CONVERGED: raise it"),),
    )
    load = LoadResult(
        scenario="server", arrivals="poisson", bound_s=0.05, bound_quantile=0.99, found_rate=found, curve=curve, ended="deadline", broken_rate=105,
        rate_estimate=Measured(value=84, unit="requests/s", interval=(82, 87), confidence=0.95, n=1200),
        requests_per_s=records.measured(70.0, 60, 80, "requests/s"),
    )  # fmt: skip
    spikes = (
        Spike(at_s=0.5, duration_s=0.02, times_median=9.5, causes=("major page faults",)),
        Spike(at_s=0.7, duration_s=0.0021, times_median=1.05, causes=("of no interest",)),
    )
    rows = table()
    cells = [cell("server", load, rows, noise=Noise(watched_s=1.0, cores=(0,), spikes=spikes))]
    return bench(cells, [rows], tmp_path / "search")


def test_a_search_shows_its_curve_and_a_row_for_each_rate(search):
    said = search.sections["Rate under a latency bound"]
    assert said.startswith(
        "Rate under a latency bound 84 requests a second hold 50.0 ms@p99 (95 % interval 82 to 87), as a queue of 1200 measured "
        "service times has it; what is rarer than 1 in 400 requests may be missing from them. Proved by requests that were "
        "sent: 80 ; those in a queue are alike, so that less can be proved "
        "than is so. 105 were sent, and did not hold."
    )
    assert "7 3 to 12" in said
    rows = re.findall(r"([✓✗?] \w+) ([\d.]+) ", said)
    assert rows == [("✓ yes", "60"), ("✓ yes", "80"), ("? unsure", "88"), ("✗ no", "105")], (
        "by rate, not by when it was tried"
    )
    assert "407 7" in said, "407 came, 7 of them were never served"
    assert "NOT CONVERGED: raise it." in said
    svg = search.html[search.html.index("rate-curve") :]
    assert "bound 50.0 ms@p99" in svg


def test_a_search_is_no_mean_over_all_its_rates(search):
    assert "Where the time goes" not in search.headings
    assert "Latency" not in search.headings
    assert "– – – – 1.00 MiB" in search.sections["Cells"]
    assert "A search has many rates" in search.sections["Cells"]


def test_spikes_worth_telling_have_their_cause(search):
    said = search.sections["Latency over time"]
    assert "0.50 s 20.0 ms 9.5 major page faults" in said
    assert "of no interest" not in search.html, "5 % above the median is no spike to a reader"


def test_a_search_that_found_nothing(tmp_path):
    load = LoadResult(
        scenario="server", arrivals="constant", bound_s=1e-3, bound_quantile=0.99, curve=(point(9, "no", 0.4),)
    )
    rows = table(40)
    page = bench([cell("server", load, rows)], [rows], tmp_path / "none")
    assert "No rate that was sent was proved to hold 1.00 ms@p99." in page.sections["Rate under a latency bound"]


def test_a_sweep_over_clients(tmp_path):
    cells, tables = [], []
    for clients, rate in ((1, 100.0), (2, 192.0), (4, 200.0)):
        load = LoadResult(
            scenario="multi-stream", clients=clients, requests_per_s=records.measured(rate, rate * 0.98, rate * 1.02, "requests/s"),
            called="native",
        )  # fmt: skip
        tables.append(table(queue=False, seed=clients))
        cells.append(cell(f"multi-stream-c{clients}", load, tables[-1]))
    page = bench(cells, tables, tmp_path / "sweep")
    assert "Throughput by clients" in page.headings
    assert "knee" in page.html[page.html.index('id="clients"') :]
    assert (
        "4 clients; called without the interpreter answered 200 requests a second (196 to 204)" in page.sections["Load"]
    )
    assert "Throughput" not in page.headings, "a map by configuration would show three loads as one"
    assert len(page.plots) == 4


def test_a_server_with_a_mix_and_percentiles(tmp_path):
    rows = table()
    shapes = tuple(
        ShapeResult(
            shape=f"<x>={s}",
            weight=w,
            first=exact(0.01, "s"),
            p50=records.measured(0.002),
            p99=records.measured(0.003, 0.0029, high),
        )
        for s, w, high in (("1x3x8x8", 0.75, 0.0031), ("1x3x9x9", 0.25, None))
    )
    load = LoadResult(
        scenario="server", clients=2, rate_per_s=200, arrivals="trace", shapes=shapes, unserved=12,
        requests_per_s=records.measured(190.0, unit="requests/s"), percentiles={"p75": records.measured(0.0021, 0.002, 0.0022)},
        refused={"p99.9": "p99.9 is refused: it needs 3688 more"}, official={"Result is": "INVALID", "Min latency (ns)": 12},
        python_path={"same_outputs": False, "python_p50_s": 2e-5, "native_p50_s": 1e-5}, called="python",
    )  # fmt: skip
    page = bench([cell("server-200-mix", load, rows)], [rows], tmp_path / "mix")
    said = page.sections["Load"]
    stages = summarise_stages(rows, ["queue", "infer"])
    for words in (
        "server, 2 clients, 200 a second offered, as recorded; called from Python",
        "answered 190 requests a second; 12 were never served",
        f"waiting median {format_seconds(stages['queue'].p50.value)}, p99",
        f"service median {format_seconds(stages['infer'].p50.value)}, p99",
        "p75 2.10 ms, 95 % interval 2.00 ms to 2.20 ms",
        "p99.9 is refused: it needs 3688 more",
        "<x>=1x3x8x8 75 % of the requests; median 2.00 ms, p99 3.00 ms, first run 10.0 ms",
        "1x3x9x9 25 % of the requests; median 2.00 ms, p99 ≥ 2.90 ms",
        "in turns with 10.0 µs by the native loop; OTHER OUTPUTS",
        "MLPerf LoadGen: INVALID",
    ):
        assert words in said
    assert "queue" in page.html[page.html.index("waterfall") :], (
        "the wait is a part of the bar: only then does it add up"
    )
    assert "Queue: the wait of a request that was due." in page.sections["Where the time goes"]


def test_what_was_measured_before_a_process_died(tmp_path):
    rows = table(50, queue=False)
    reason = "was killed (SIGKILL); the 50 requests before it are kept"
    failed = cell(
        "", LoadResult(scenario="single-stream"), rows, status="failed", reason=reason,
        last_output="<last> words",
    )  # fmt: skip
    page = bench(
        [failed],
        [rows],
        tmp_path / "died",
        status="interrupted",
        verdict="INCONCLUSIVE",
        warnings=(Warning("cut-short", reason),),
    )
    said = page.sections["Cells that failed"]
    assert reason in said
    assert f"50 requests, p50 {format_seconds(failed.stages['end_to_end'].p50.value)}" in said
    assert "<last> words" in said
    assert "Cells" not in page.headings, "a table without rows says nothing"
    assert reason not in page.sections["Read with care"], "once is enough"
    assert "other work <here>. Cure: stop it" in page.sections["Read with care"]


def test_facts_that_are_not_known_are_left_out(search):
    said = search.sections["Environment"]
    assert "virtual yes" in said
    assert "turbo" not in said
    assert "gpus" not in said
    assert "None" not in said


@pytest.mark.parametrize("control", [True, False])
def test_a_comparison(tmp_path, control):
    rng = np.random.default_rng(1)
    pairs = tuple(
        Pair(
            effect=float(np.log(1.1) + rng.normal(0, 0.004)), control=float(rng.normal(0, 0.004)) if control else None,
            within_se=0.003, values={"a": 0.01, "b": 0.011}, launched=("a", "b"), burst=3, blocks=40, wall_s=2.0,
        )
        for _ in range(8)
    )  # fmt: skip
    comparison = Comparison(
        a="old <one>", b="new", metric="p50", stage="end_to_end", design="lock-step", verdict="REGRESSION",
        reason="B against A +10.00 %", margin=0.02, change=records.measured(0.1, 0.09, 0.11, "fraction"), a_value=exact(0.01, "s"),
        b_value=exact(0.011, "s"), p_value=0.008, p_adjusted=0.008, detectable=0.01, noise_floor=0.006, pairs=pairs,
        control=records.measured(0.001, -0.004, 0.006, "fraction") if control else None, warnings=(Warning("python-calls", "one & only"),),
    )  # fmt: skip
    decision = Decision(
        check="p50 against old <one>",
        verdict="FAIL",
        value=0.1,
        limit=0.02,
        unit="fraction",
        reason="B against A +10.00 %",
    )
    page = bench(
        [], [], tmp_path / "compare", kind="compare", verdict="FAIL", comparisons=(comparison,), decisions=(decision,),
        models={"a": records.MODEL, "b": records.MODEL},
    )  # fmt: skip
    said = page.sections["REGRESSION p50 of end to end"]
    assert "10.0 ms" in said
    assert "+10.00 % +9.00 % to +11.00 %" in said
    assert ("the same as A, in processes of its own – +0.10 % -0.40 % to +0.60 %" in said) == control
    assert "8 rounds of fresh processes in lock-step would have found a change of 1.00 %" in said
    assert "one & only." in said
    assert "old &lt;one&gt;" in page.html
    assert page.headings == ["REGRESSION p50 of end to end", "Read with care", "Environment"]
    assert len(page.plots) == 1
    assert "B against A" in page.html[page.html.index("pairs-p50") :]


def test_the_same_record_gives_the_same_page(tmp_path):
    rows = table()
    load = LoadResult(scenario="server", rate_per_s=10, arrivals="poisson")
    pages = []
    for _ in range(2):
        (tmp_path / "same" / "record.json").unlink(missing_ok=True)
        pages.append(bench([cell("server-10", load, rows)], [rows], tmp_path / "same").html)
    assert pages[0] == pages[1]
