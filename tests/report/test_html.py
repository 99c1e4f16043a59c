"""The report: self-contained, complete, escaped, and the same each time."""

import re
from html.parser import HTMLParser

import pytest

from seatrial.errors import ResultsError
from seatrial.history.records import Accuracy, ClassColour, ClassFigure, Measured, Spike
from seatrial.report import html
from seatrial.report.html import write_report
from seatrial.trial.run import run_trial
from seatrial.warning import Warning


class Page(HTMLParser):
    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect", "image", "circle", "hr"})

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.sources, self.text = [], [], [], []
        self.wide = []

    def handle_starttag(self, tag, attrs):
        classes = (dict(attrs).get("class") or "").split()
        # Of an element that may be wider than the page: does a box around it scroll?
        if tag in ("table", "svg") and "facts" not in classes:
            self.wide.append(any("scroll" in around for _, around in self.open))
        if tag not in self.VOID:
            self.open.append((tag, classes))
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "xlink:href"):
                self.sources.append(value)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(workspace, **parts):
    outcome = run_trial(workspace.load(**parts), workspace.folder / "results")
    write_report(outcome.run)
    text = (outcome.run.path / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    return text, page, outcome


@pytest.fixture(scope="module")
def sound(shared_workspace):
    """The page of a trial in which nothing is wrong."""
    return page_of(shared_workspace)


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside(sound):
    text, page, _ = sound
    assert all(s.startswith(("data:", "#")) for s in page.sources), page.sources
    assert not re.search(r"https?://(?!www\.w3\.org/|purl\.org|creativecommons\.org)", text)
    assert "<script" not in text
    assert len(page.ids) == len(set(page.ids))
    assert text.count("<svg") == 3
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    "section", ["verdict", "stages", "latency", "timeline", "throughput", "pictures", "cells", "environment"]
)
def test_every_section_is_there(sound, section):
    _, page, _ = sound
    assert section in page.ids


def test_what_may_be_wider_than_the_page_scrolls_and_shows_that_it_does(sound):
    text, page, _ = sound
    assert len(page.wide) > 6
    assert all(page.wide)
    assert "scrolls sideways" in text


def test_each_image_is_shown_once_with_what_it_is(sound):
    text, page, outcome = sound
    words = " ".join(page.text)
    assert {p.why for p in outcome.record.pictures} == {"found"}
    assert "As the reference cell sees them: the images that show most." in words
    assert "differ most" not in words
    drawn = [s for s in page.sources if s.startswith("data:image/jpeg")]
    assert len(drawn) == len(set(drawn)) == 4
    assert text.count("baseline</b> fake fp32 b1 t1: ") == 4


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (["differs"] * 2, "1 image on which a cell differs most from the one that it is compared with, on the left"),
        (["differs"] * 2 + ["found"], "Then 1 on which no cell differs, as the reference cell sees it."),
        (["nothing"], "No cell found anything on any image: there is no result to show."),
        (
            ["wrong"],
            "1 image on which most is wrong, as the cell furthest from the truth sees it, with the truth beside it",
        ),
        (["wrong"] * 2 + ["found"], "As the reference cell sees them: the other images that show most."),
        (["wrong"] * 2 + ["differs"], "1 other image on which a cell differs most"),
        # Of a record from before images were chosen.
        ([""] * 2, "As each pipeline sees them in the reference configuration."),
    ],
)
def test_the_pictures_say_how_they_were_chosen(sound, why, said, monkeypatch):
    _, _, outcome = sound
    kinds = [(why[0], "0.png")] * 2 + [(w, f"{k}.png") for k, w in enumerate(why[2:], 1)]
    kinds = kinds[: len(why)]
    pictures = tuple(
        outcome.record.pictures[0].model_copy(update={"why": w, "image": image, "cell": "" if not w else "a.fake.fp32.b1.t1"})
        for w, image in kinds
    )  # fmt: skip
    monkeypatch.setattr(html, "load_record", lambda _run: outcome.record.model_copy(update={"pictures": pictures}))
    page = Page()
    page.feed(html.render(outcome.run))
    assert said in " ".join(" ".join(page.text).split())


@pytest.mark.slow
def test_a_percentile_that_a_budget_limits_has_a_column(workspace):
    text, _, _ = page_of(workspace, budgets="[{metric: latency, at: p95, max: 1 s}]", measure="{max_time: 200 ms}")
    heads = re.findall(r'<th class="num">(p[0-9]+)</th>', text)
    assert heads == ["p50", "p90", "p95", "p99"]
    row = text[text.index('<section id="cells">') :]
    row = row[row.index("<tbody>") : row.index("</tr>", row.index("<tbody>"))]
    assert row.count("<td") == len(["cell", "n", *heads, "images/s", "memory", "cold start"])


def test_warnings_that_differ_in_their_figures_alone_are_one(sound, monkeypatch):
    _, _, outcome = sound
    cells = tuple(
        c.model_copy(update={"warnings": (Warning("waited", f"the process waited {k + 1}.5 ms for a core"),)})
        for k, c in enumerate(outcome.record.cells)
    )
    monkeypatch.setattr(html, "load_record", lambda _run: outcome.record.model_copy(update={"cells": cells}))
    text = html.render(outcome.run)
    assert text.count("ms for a core") == 1
    assert "the process waited 1.5 ms for a core; 1 more like it<br>" in text


@pytest.mark.slow
def test_the_verdict_comes_first_and_failures_say_why(workspace):
    workspace.script("broken.fake.json", fail={"at": 0, "how": "raise", "message": "<b>boom & bust</b>"})
    text, page, outcome = page_of(
        workspace,
        pipelines="\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
        "    postprocess: {task: classify}\n  candidate: {extends: baseline, model: broken.fake.json}",
    )
    assert outcome.record.verdict == "FAIL"
    words = " ".join(page.text)
    assert words.index("FAIL") < words.index("Checks") < words.index("Where the time goes")
    assert "<b>boom & bust</b>" in words
    assert "&lt;b&gt;boom &amp; bust&lt;/b&gt;" in text


@pytest.mark.slow
def test_names_from_the_users_files_are_escaped(workspace):
    (workspace.folder / "images" / "0.png").rename(workspace.folder / "images" / "<img src=x onerror=alert(1)>.png")
    text, _, _ = page_of(workspace)
    assert "<img src=x" not in text


@pytest.mark.slow
def test_samples_that_are_damaged_are_told(workspace):
    outcome = run_trial(workspace.load(), workspace.folder / "results")
    (outcome.run.path / "samples.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ResultsError, match=r"samples.parquet: cannot be read \(.*\); restore it"):
        write_report(outcome.run)


def test_a_run_without_a_single_good_cell_still_has_a_report(workspace):
    workspace.script("model.fake.json", fail={"at": 0, "how": "exit"})
    text, page, _ = page_of(workspace)
    assert "Cells that failed" in text
    assert "stages" not in page.ids


def test_a_legend_stands_below_its_picture(sound, monkeypatch):
    _, _, outcome = sound
    keys = (ClassColour(colour="#d55e00", name="cat <b>"), ClassColour(colour="", name="background"))
    picture = outcome.record.pictures[0].model_copy(update={"legend": keys})
    monkeypatch.setattr(html, "load_record", lambda _run: outcome.record.model_copy(update={"pictures": (picture,)}))
    (said,) = re.findall(r'<span class="legend">(.*?)</figcaption>', html.render(outcome.run))
    assert said.startswith(
        '<span><i style="background: #d55e00"></i>cat &lt;b&gt;</span><span><i></i>background</span></span>'
    )


def test_kernels_stand_behind_the_latencies_folded_with_what_they_say(sound):
    text, page, _ = sound
    assert page.ids.index("engines") > page.ids.index("timeline") > page.ids.index("latency")
    section = text[text.index('id="engines"') :]
    assert section.index("<details>") < section.index("<table>") < section.index("</details>")
    assert re.search(r"<summary>preprocess [0-9.]+( to [0-9.]+)? × as fast", section)


def test_a_trial_in_which_no_cell_ran_has_no_empty_table_and_a_reason_is_said_once(sound, monkeypatch):
    _, _, outcome = sound
    cells = [
        c.model_copy(update={"status": "failed", "reason": "no such shape", "measurement": None})
        for c in outcome.record.cells
    ]
    record = outcome.record.model_copy(update={"cells": tuple(cells), "decisions": (), "pictures": ()})
    monkeypatch.setattr(html, "load_record", lambda _run: record)
    page = Page()
    page.feed(html.render(outcome.run))
    assert "cells" not in page.ids
    assert " ".join(page.text).count("no such shape") == 1
    assert page.open == []


def page_with(sound, monkeypatch, change):
    """The page with each cell changed: its number and itself to what is put into it."""
    _, _, outcome = sound
    cells = tuple(c.model_copy(update=change(k, c)) for k, c in enumerate(outcome.record.cells))
    monkeypatch.setattr(html, "load_record", lambda _run: outcome.record.model_copy(update={"cells": cells}))
    text = html.render(outcome.run)
    page = Page()
    page.feed(text)
    assert page.open == []
    return text, page


def rows_behind(text, head):
    """Cells of the rows of the table behind a heading, without markup."""
    body = text[text.index(head) :].split("<tbody>")[1].split("</tbody>")[0]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)]


def accuracy(value, second=None, classes=(), count=0):
    measured = Measured(value=value, unit="fraction", n=4, interval=(value / 2, 1.0))
    return Accuracy(metric="mAP", value=measured, second=second or {}, by_class=tuple(classes), classes=count)


def test_the_worst_classes_of_all_cells_are_a_table(sound, monkeypatch):
    figures = [
        [ClassFigure(name="<cat>", value=0.1, n=3), ClassFigure(name="dog", value=0.5, n=9)],
        [ClassFigure(name="dog", value=0.05, n=9), ClassFigure(name="cow", value=0.3, n=1)],
    ]
    text, page = page_with(sound, monkeypatch, lambda k, _: {"accuracy": accuracy(0.5, classes=figures[k], count=30)})
    assert rows_behind(text, "AP by class") == [
        ["dog", "9", "50.0 %", "5.0 %"], ["&lt;cat&gt;", "3", "10.0 %", "–"], ["cow", "1", "–", "30.0 %"],
    ]  # fmt: skip
    assert "The worst first, 3 of 30 classes; n: objects in the truth." in " ".join(" ".join(page.text).split())
    assert all(page.wide)


def test_of_many_classes_a_few_are_shown_and_cells_that_agree_share_a_column(sound, monkeypatch):
    figures = [ClassFigure(name=f"c{k}", value=k / 100, n=2) for k in range(40)]
    one = {"pipeline": "baseline", "accuracy": accuracy(0.5, classes=figures, count=40)}
    text, _ = page_with(sound, monkeypatch, lambda _k, _c: one)
    assert [r[0] for r in rows_behind(text, "AP by class")] == [f"c{k}" for k in range(12)]
    assert "baseline · fake fp32 b1 t1 and 1 more" in text
    assert "12 of 40 classes" in text


@pytest.mark.parametrize("count", [0, 1])
def test_of_one_class_there_is_no_table(sound, monkeypatch, count):
    figures = [ClassFigure(name="cat", value=0.5, n=2)] * count
    text, _ = page_with(sound, monkeypatch, lambda *_: {"accuracy": accuracy(0.5, classes=figures, count=count)})
    assert "by class" not in text


def test_a_figure_is_said_as_in_its_check_and_a_second_error_has_a_column(sound, monkeypatch):
    text, _ = page_with(sound, monkeypatch, lambda k, _: {"accuracy": accuracy(0.05, {"RMSE": 0.25} if not k else {})})
    first, other = rows_behind(text, "<h3>Answers</h3>")
    assert first[2:4] == ["5.0 %<br><small>2.5 – 100.0</small>", "0.25"]
    assert other[3] == "–"
    assert '<th class="num">RMSE</th>' in text


def test_spikes_are_folded_behind_the_slowest(sound, monkeypatch):
    def spiky(_, cell):
        spikes = [Spike(at_s=k, duration_s=0.01 * k, times_median=k, causes=("a page fault",)) for k in (2, 4, 3)]
        return {"noise": cell.noise.model_copy(update={"spikes": tuple(spikes)})}

    text, page = page_with(sound, monkeypatch, spiky)
    section = text[text.index('id="timeline"') :]
    assert section.index("<details><summary>6 spikes, the slowest 4.0 × the median") < section.index("a page fault")
    assert section.index("a page fault") < section.index("</details>")
    assert all(page.wide)
