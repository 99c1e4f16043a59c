"""docs/taps.md: what it shows is true, and both its writers write what is read back."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from seatrial.pipeline.results import KINDS
from seatrial.taps.check import check_taps, images_in
from seatrial.taps.folder import TapsFolder
from seatrial.taps.manifest import STAGES, TapsManifest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "taps.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_manifest_is_one():
    (text,) = blocks("json")
    assert TapsManifest.model_validate_json(text).stages == ("decoded", "input", "output.output0", "results")


def test_the_page_has_every_stage_key_kind_and_field():
    for field in TapsManifest.model_fields:
        assert f"`{field.rstrip('_')}" in PAGE
    assert set(STAGES) - {"outputs"} <= set(re.findall(r"`(\w+)`", PAGE))
    for kind in KINDS:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind.__name__} |"))
        own = kind.__dataclass_fields__.keys()
        assert own <= set(re.findall(r"`(\w+)`", row)) | (
            {"boxes_xyxy", "scores", "class_ids"} if "as Detections" in row else set()
        ) | ({"class_ids", "scores"} if "as Classification" in row else set())


def test_both_writers_have_30_lines():
    for text in (blocks("cpp")[0].partition("class Npz")[2], blocks("python")[0]):
        assert len(text.splitlines()) <= 30


def compiled(tmp_path, *parts):
    (tmp_path / "taps.cpp").write_text("\n".join(parts))
    flags = [
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        "-fsanitize=undefined",
        "-fno-sanitize-recover",
    ]
    subprocess.run(["g++", *flags, "taps.cpp", "-o", "taps_writer"], cwd=tmp_path, check=True, timeout=120)
    (tmp_path / "taps").mkdir()
    subprocess.run(["./taps_writer"], cwd=tmp_path, check=True, timeout=60)
    return TapsFolder.open(tmp_path / "taps")


def test_the_writer_in_cpp(tmp_path):
    folder = compiled(tmp_path, *blocks("cpp"))
    assert check_taps(folder).problems == ()
    assert folder.names == ("scene-0.jpg", "scene-1.jpg")
    found = folder.load("scene-1.jpg")
    assert (found.decoded.shape, found.decoded[0, 0, 0]) == ((48, 64, 3), 101)
    assert (found.input.dtype, found.input.shape, found.input[0, 2, 31, 31]) == (np.float32, (1, 3, 32, 32), 0.5)
    assert found.outputs["output0"].shape == (1, 6, 10)
    assert found.results.boxes_xyxy.tolist() == [[1, 2, 30, 40]]
    assert found.results.class_ids.tolist() == [7]


EVERY_TYPE = """
#include <numeric>
template <class T> void every(Npz& npz, const std::string& name) {
    std::vector<T> v(24); std::iota(v.begin(), v.end(), T(1));
    npz.add("output." + name, {2, 3, 4}, v.data());
    npz.add("output." + name + ".flat", {24}, v.data());
    npz.add("output." + name + ".none", {0, 4}, static_cast<const T*>(nullptr));
    npz.add("output." + name + ".long.name.that.moves.the.end.of.its.header.by.so.much", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 24}, v.data());
}
int main() {
    Npz npz("taps/a.npz");
    every<float>(npz, "f4"); every<double>(npz, "f8"); every<int8_t>(npz, "i1"); every<uint8_t>(npz, "u1"); every<int16_t>(npz, "i2");
    every<uint16_t>(npz, "u2"); every<int32_t>(npz, "i4"); every<uint32_t>(npz, "u4"); every<int64_t>(npz, "i8"); every<uint64_t>(npz, "u8");
    npz.close();
    std::ofstream("taps/taps.json") << R"({"schema": "seatrial.taps/1", "stages": ["output.f4"], "images": [{"name": "a", "file": "a.npz"}]})";
}
"""


def test_the_writer_in_cpp_writes_every_type_and_shape(tmp_path):
    folder = compiled(tmp_path, blocks("cpp")[0], EVERY_TYPE)
    with folder.file("a") as file:
        keys = [k for k in file.keys if k.count(".") == 1]
        assert len(keys) == 10
        for key in keys:
            dtype = np.dtype(key.removeprefix("output."))
            expected = np.arange(1, 25, dtype=dtype)
            for found, shape in ((key, (2, 3, 4)), (f"{key}.flat", (24,)), (f"{key}.none", (0, 4))):
                assert (file.array(found).dtype, file.array(found).shape) == (dtype, shape)
                assert np.array_equal(file.array(found).reshape(-1), expected[: np.prod(shape)])
            assert file.array(next(k for k in file.keys if k.startswith(f"{key}.long"))).shape == (1,) * 12 + (24,)
    # Readers that map files into memory want the values on 64 bytes.
    assert np.load(folder.path / "a.npz")["output.f8"].sum() == 300


def test_the_writer_in_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("scene-0.jpg", "scene-1.jpg"):
        (tmp_path / "photos" / name).write_bytes(name.encode())
    exec("\n".join(blocks("python")), {})
    folder = TapsFolder.open(tmp_path / "taps")
    check = check_taps(folder, images_in(tmp_path / "photos"))
    assert (check.problems, check.notes, check.sound) == ((), (), 2)
    assert folder.stages == {"decoded", "input", "outputs", "results"}
    assert folder.load("scene-0.jpg").results.scores == pytest.approx([0.9])


def test_a_stage_that_one_image_lacks_is_no_stage_of_the_python_writers(tmp_path):
    names = {}
    exec(blocks("python")[0], names)
    (tmp_path / "a.jpg").touch()
    taps = names["Taps"](tmp_path / "taps", "a test")
    taps.add(tmp_path / "a.jpg", "a", {"input": np.zeros(2), "output.y": np.zeros(2)})
    taps.add(tmp_path / "a.jpg", "b", {"input": np.zeros(2)})
    taps.close()
    assert TapsFolder.open(tmp_path / "taps").stages == {"input"}
