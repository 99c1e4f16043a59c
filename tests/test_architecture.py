"""The house's rules that a reader relies on: who imports whom, what is public, what ships."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import files
from pathlib import Path

import pytest

import seatrial

PACKAGE = Path(seatrial.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
ROOT = Path(__file__).parent.parent
HEAVY = {"onnxruntime", "openvino", "matplotlib", "torch", "ray", "pandas", "onnx", "jinja2"}


def test_import_is_fast_because_it_loads_next_to_nothing():
    code = "import sys; before = set(sys.modules); import seatrial; print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "seatrial" in loaded
    assert not set(loaded) & (HEAVY | {"numpy", "cv2", "scipy", "pydantic"})


@pytest.mark.parametrize("system", ["darwin", "win32", "freebsd14"])
def test_other_systems_are_refused_in_one_line_with_the_cure(system):
    code = f"import sys; sys.platform = {system!r}; import seatrial"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: seatrial: expected Linux, whose /proc, /sys and clocks its measurements rest on, got "
        f"{system}; run it on Linux, in a Linux container, or in WSL 2"
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_are_used(path):
    top = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not top & HEAVY


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_module_is_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= 300


def _module(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in SOURCES}


def _imports(module):
    """Modules of seatrial that a module imports anywhere in it, also in functions and for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seatrial":
            base = node.module.removeprefix("seatrial").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                found.add(full if full in MODULES else base)
    return found - {"", module}


IMPORTS = {module: _imports(module) for module in MODULES}


def _floors():
    """Rooms by floor, the lowest first, as pyproject.toml has them."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    floors = [[room.strip().removeprefix("seatrial.") for room in floor.split("|")] for floor in contract["layers"]]
    return {room: number for number, floor in enumerate(reversed(floors)) for room in floor}


def test_every_room_has_a_floor():
    assert {module.split(".")[0] for module in MODULES} - {""} == set(_floors())


@pytest.mark.parametrize("module", sorted(set(MODULES) - {""}))
def test_imports_go_down_only(module):
    floors, room = _floors(), module.split(".")[0]
    others = {target.split(".")[0] for target in IMPORTS[module]} - {room}
    assert not [other for other in others if floors[other] >= floors[room]]


def test_no_imports_go_in_a_circle():
    graphlib.TopologicalSorter(IMPORTS).prepare()


def test_the_cores_know_no_python():
    for path in (ROOT / "csrc").rglob("*.?pp"):
        assert "Python.h" not in path.read_text()


def test_nothing_builds_with_fast_math_or_unpickles():
    for path in [*SOURCES, ROOT / "setup.py", *(ROOT / "csrc").rglob("*.?pp")]:
        text = re.sub(r"#.*|//.*", "", path.read_text())
        assert "fast-math" not in text
        assert not re.search(r"\bpickle\b|allow_pickle=True|yaml\.load\(", text)


def test_public_names_are_these():
    assert seatrial.__all__ == [
        "Classification", "ClassificationDecoder", "DenseDecoder", "DenseMap", "DetectionDecoder", "Detections", "Embedding",
        "EmbeddingDecoder", "Geometry", "InstanceDecoder", "Instances", "LabelDecoder", "Labels", "OrientedBoxes",
        "OrientedDecoder", "PoseDecoder", "Poses", "Preprocess", "Record", "SeatrialError", "SegmentationDecoder", "SemanticMask",
        "Text", "TextDecoder", "TextRegionDecoder", "TextRegions", "__version__", "decode_image", "load_plan", "load_results",
        "run",
    ]  # fmt: skip
    for name in seatrial.__all__:
        assert getattr(seatrial, name) is not None
    assert set(seatrial.__all__) <= set(dir(seatrial))
    with pytest.raises(AttributeError, match="no attribute 'Preproces'"):
        seatrial.Preproces  # noqa: B018


def test_every_extension_has_its_stub():
    for source in (PACKAGE / "_native").glob("*.so"):
        assert (PACKAGE / "_native" / f"{source.name.split('.')[0]}.pyi").is_file()


def test_the_installed_package_ships_its_data_and_no_generated_code():
    shipped = [str(f) for f in files("seatrial") or []]
    if not any(f.endswith("demo/trial.yaml") for f in shipped):
        pytest.skip("an editable install lists no files")
    assert any(f.endswith("demo/models/seamarks-v2.onnx") for f in shipped)
    assert any(f.endswith("report/report.html.j2") for f in shipped)
    assert any(f.endswith("py.typed") for f in shipped)
    assert not any(f.endswith((".cpp", ".pyx")) for f in shipped)


def test_the_demos_models_stay_small():
    for model in (PACKAGE / "demo" / "models").glob("*.onnx"):
        assert model.stat().st_size <= 4 << 20
