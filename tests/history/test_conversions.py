"""What int8 meant before it was two forms: records of then are read by today's names, and today's as they are."""

import json

import records

from seatrial.history.reading import read_record


def written(tmp_path, **fields):
    cells = [records.cell("only", "onnxruntime-cpu", p, 1, 1) for p in ("fp32", "int8")]
    data = records.record(cells).to_json() | fields
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data))
    return path


def test_a_record_of_before_is_read_by_todays_names(tmp_path):
    found, before = read_record(written(tmp_path))
    assert [c.precision for c in found.cells] == ["fp32", "int8-u8"]
    assert [c.id for c in found.cells] == ["only.onnxruntime-cpu.fp32.b1.t1", "only.onnxruntime-cpu.int8.b1.t1"]
    assert [c["precision"] for c in before["cells"]] == ["fp32", "int8"]


def test_todays_int8_is_what_it_says(tmp_path):
    found, _ = read_record(written(tmp_path, conversions=2))
    assert [c.precision for c in found.cells] == ["fp32", "int8"]
