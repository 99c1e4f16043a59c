"""Raw samples of a run: what is written, what is read again, and what a damaged or missing table does."""

import numpy as np
import pandas as pd
import pytest
import records

from seatrial.errors import ResultsError
from seatrial.history.samples import EVALUATION_COLUMNS, load_samples, save_evaluations, save_samples, save_table

INT64 = np.iinfo(np.int64)


def table(rows, stages):
    return np.arange(rows * (stages + 2), dtype=np.int64).reshape(rows, stages + 2) + 1


def measured(name, stages, **fields):
    return records.cell(name, measurement=records.measurement(table(5, len(stages)), stages), **fields)


@pytest.mark.parametrize("rows", [0, 1, 1000])
@pytest.mark.parametrize("name", ["only.fake.fp32.b1.t1", "grün ✓.fake.fp32.b1.t1@server-20", "a b.fake.fp32.b1.t1"])
def test_a_table_comes_back_as_it_went(tmp_path, rows, name):
    given = table(rows, 1)
    if rows:
        given[0] = INT64.max, INT64.min, 0
    save_table(tmp_path, name, given)
    assert np.array_equal(load_samples(tmp_path, name), given)
    save_table(tmp_path, name, given[:1])
    assert len(load_samples(tmp_path, name)) == min(rows, 1), "the last one stands"
    assert [p.name for p in (tmp_path / name).iterdir()] == ["samples.npy"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "work").write_text("a file")
    with pytest.raises(ResultsError, match="work.*cannot be made"):
        save_table(tmp_path / "work", "cell", table(1, 1))


def test_a_table_of_objects_is_not_unpickled(tmp_path):
    (tmp_path / "cell").mkdir()
    np.save(tmp_path / "cell" / "samples.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_samples(tmp_path, "cell")


def test_one_column_a_stage_and_none_where_another_cell_has_it(tmp_path):
    """Nanoseconds to the last one: beyond 2^53 too, where a float would round."""
    cells = [measured("m", ("infer",)), measured("p", ("decode", "infer"))]
    late = table(3, 1) + (1 << 60)
    save_table(tmp_path, cells[0].id, late)
    save_table(tmp_path, cells[1].id, table(2, 2))
    save_samples(tmp_path, tmp_path, cells)
    frame = pd.read_parquet(tmp_path / "samples.parquet")
    assert list(frame) == ["cell", "iteration", "start_ns", "infer_ns", "end_to_end_ns", "decode_ns"]
    first, second = (frame[frame["cell"] == c.id] for c in cells)
    assert first["iteration"].tolist() == [0, 1, 2]
    assert first[["start_ns", "infer_ns", "end_to_end_ns"]].to_numpy().tolist() == late.tolist()
    assert first["decode_ns"].isna().all()
    assert second[["start_ns", "decode_ns", "infer_ns", "end_to_end_ns"]].to_numpy().tolist() == table(2, 2).tolist()


def test_a_servers_service_is_no_column(tmp_path):
    given = np.array([[0, 5, 10, 15], [20, 0, 10, 10]])
    cell = records.cell(point="server-20", measurement=records.measurement(given, ("queue", "infer")))
    assert "service" in cell.stages
    save_table(tmp_path, cell.id, given)
    save_samples(tmp_path, tmp_path, [cell])
    frame = pd.read_parquet(tmp_path / "samples.parquet")
    assert list(frame) == ["cell", "iteration", "start_ns", "queue_ns", "infer_ns", "end_to_end_ns"]


@pytest.mark.parametrize("cells", [[], [records.cell(status="failed", reason="x")], [records.cell(status="skipped")]])
def test_nothing_measured_leaves_no_file(tmp_path, cells):
    save_samples(tmp_path, tmp_path, cells)
    save_evaluations(tmp_path, records.record(cells), {})
    assert list(tmp_path.iterdir()) == []


def test_what_a_cell_had_measured_before_it_died_is_kept(tmp_path):
    cell = measured("m", ("infer",), status="failed", partial=True, reason="it broke")
    save_table(tmp_path, cell.id, table(4, 1))
    save_samples(tmp_path, tmp_path, [cell])
    assert len(pd.read_parquet(tmp_path / "samples.parquet")) == 4


class Judged:
    """A cell's results, as far as they are asked for here."""

    def __init__(self, **columns):
        self.given = columns

    def columns(self, names):
        return {"image": names, **self.given}


def test_evaluations_have_all_columns_whatever_a_task_knows(tmp_path):
    cells = [records.cell("a"), records.cell("b"), records.cell("c")]
    images = records.ImagesSection(count=2, names=("0.png", "ü, \n.png"))
    save_evaluations(
        tmp_path, records.record(cells, images=images),
        {cells[2].id: Judged(value=[1, 0]), cells[0].id: Judged(score=[0.5, np.nan], matched=[True, False])},
    )  # fmt: skip
    frame = pd.read_parquet(tmp_path / "evaluations.parquet")
    assert list(frame) == ["cell", "image", *EVALUATION_COLUMNS]
    assert frame["cell"].tolist() == [cells[0].id] * 2 + [cells[2].id] * 2, "in the record's order"
    assert frame["image"].tolist() == list(images.names) * 2
    assert frame["matched"].tolist()[:2] == [1.0, 0.0]
    assert frame["value"].tolist()[2:] == [1.0, 0.0]
    assert frame["value"].isna().tolist() == [True, True, False, False]
    assert {str(frame[c].dtype) for c in EVALUATION_COLUMNS} == {"float64"}
