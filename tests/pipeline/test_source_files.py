"""Which files a user's stage consists of, as the import system finds them, and what is refused."""

import py_compile
import sys

import pytest

from seatrial.errors import PlanError
from seatrial.pipeline.source_files import source_files


def lay(folder, *files):
    """'name: content' each; returns the folder."""
    for file in files:
        name, _, content = file.partition(": ")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "reference", "found"),
    [
        (["mine.py: x = 1"], "mine:pre", ["mine.py"]),
        (["mine.py: import json, numpy"], "mine:pre", ["mine.py"]),
        (["mine.py: import helper", "helper.py: import deep", "deep.py: ", "alone.py: "], "mine:pre", ["deep.py", "helper.py", "mine.py"]),
        (["mine.py: from helper import f", "helper.py: import mine"], "mine:pre", ["helper.py", "mine.py"]),
        (["mine.py: def pre(i):\n    import helper", "helper.py: "], "mine:pre", ["helper.py", "mine.py"]),
        (["mine.py: import kit.a", "kit/__init__.py: ", "kit/a.py: ", "kit/sub/b.py: "], "mine:pre", ["kit/__init__.py", "kit/a.py", "kit/sub/b.py", "mine.py"]),
        (["kit/__init__.py: ", "kit/stages.py: from . import other", "kit/other.py: "], "kit.stages:pre", ["kit/__init__.py", "kit/other.py", "kit/stages.py"]),
        (["kit/stages.py: ", "kit/data.json: {}"], "kit.stages:pre", ["kit/stages.py"]),
        (["kit/stages.py: import helper", "helper.py: "], "kit.stages:pre", ["helper.py", "kit/stages.py"]),
        (["mine.py: import onnx, images", "onnx/model.onnx: ", "images/a.txt: "], "mine:pre", ["mine.py"]),
        (["numpy.py: ", "mine.py: import numpy"], "mine:pre", ["mine.py", "numpy.py"]),
        (["code.py: x = 1"], "code:pre", ["code.py"]),
        (["mine.py: not python at all"], "mine:pre", ["mine.py"]),
        ([], "os:getcwd", []),
        ([], "math:sqrt", []),
    ],
)  # fmt: skip
def test_a_stage_is_its_module_and_what_lies_beside_it(tmp_path, files, reference, found):
    assert list(source_files(reference, lay(tmp_path, *files), "preprocess")) == found


def test_an_installed_package_is_taken_whole(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(
        lay(tmp_path / "site", "kit/__init__.py: ", "kit/deep/a.py: import helper", "helper.py: ")
    )
    found = source_files("kit:pre", lay(tmp_path / "plan", "other.py: "), "preprocess")
    assert list(found) == ["kit/__init__.py", "kit/deep/a.py"]
    assert "kit" not in sys.modules


def test_compiled_parts_of_a_package_count_and_linked_folders_too(tmp_path):
    lay(tmp_path, "kit/__init__.py: ", "kit/fast.so: bytes", "elsewhere/b.py: ", "kit/__pycache__/a.pyc: ")
    (tmp_path / "kit" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "kit" / "loop").symlink_to(tmp_path / "kit")
    assert list(source_files("kit:pre", tmp_path, "preprocess")) == [
        "kit/__init__.py",
        "kit/fast.so",
        "kit/linked/b.py",
    ]


def bytecode_only(folder):
    lay(folder, "mine.py: x = 1")
    py_compile.compile(str(folder / "mine.py"), str(folder / "mine.pyc"))
    (folder / "mine.py").unlink()


def bytecode_in_a_package(folder):
    lay(folder, "mine/__init__.py: ", "mine/a.pyc: ")


def extension(folder):
    lay(folder, "mine.so: ")


def spread(folder):
    lay(folder, "mine/a.py: ", "site/mine/b.py: ")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "no module 'mine' for 'mine:pre'; expected it beside the plan"),
        (bytecode_only, "'mine' has no source at"),
        (bytecode_in_a_package, "'mine' has no source at"),
        (extension, "name a function in a .py file that calls it"),
        (lambda folder: lay(folder, "mine/readme.txt: "), "expected .py files"),
        (spread, "keep it in one folder, with an __init__.py"),
    ],
)
@pytest.mark.parametrize("imported", [False, True])
def test_what_has_no_source_is_refused_with_the_cure(tmp_path, monkeypatch, make, said, imported):
    monkeypatch.syspath_prepend(lay(tmp_path / "site", "unrelated.py: ").as_posix())
    make(tmp_path)
    lay(tmp_path, "above.py: import mine")
    if imported and ("no module" in said or ".py files" in said):
        # It may lie anywhere, or be a folder of pictures.
        assert list(source_files("above:pre", tmp_path, "preprocess")) == ["above.py"]
        return
    with pytest.raises(PlanError, match="preprocess: ") as caught:
        source_files("above:pre" if imported else "mine:pre", tmp_path, "preprocess")
    assert said in str(caught.value)
