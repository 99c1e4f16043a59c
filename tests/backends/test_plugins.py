"""Backends of other packages: found by their entry point, loaded late, and each fault of theirs named."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import extra
from processes import SEATRIAL, ran

from seatrial.backends import OpenOptions, availability, open_backend, plugins
from seatrial.backends.catalogue import takes
from seatrial.cells.checks import check_backend
from seatrial.demo import MODEL
from seatrial.errors import BackendUnavailableError, CellError, UsageError
from seatrial.model.file import inspect_model
from seatrial.runtimes import names
from seatrial.runtimes.choice import BackendChoice

EXAMPLE = Path(__file__).parents[2] / "docs/examples/mnn-backend"
CODE = """
from dataclasses import replace
from seatrial.backends.base import Availability, Closing
from seatrial.backends.onnxruntime.python import OnnxRuntimeBackend
from seatrial.runtimes.settings import Setting

class Good(Closing):
    name = "good"
    settings = (Setting("level", int, "", least=1),)

    def __init__(self, inner, options):
        self._inner, self._options = inner, options

    @classmethod
    def open(cls, model, options):
        return cls(OnnxRuntimeBackend.open(model, replace(options, settings={})), options)

    def inputs(self): return self._inner.inputs()
    def outputs(self): return self._inner.outputs()
    def run(self, feeds): return self._inner.run(feeds)
    def another(self): return self
    def details(self): return {}
    def close(self): self._inner.close()

class Stub(Closing):
    @classmethod
    def open(cls, model, options): return cls()

class Absent(Good):
    @classmethod
    def availability(cls):
        return Availability("absent", False, "1", "its card is not there", "buy one")

class Wild(Good):
    @classmethod
    def availability(cls):
        raise OSError("no such device")

class Odd(Good):
    @classmethod
    def availability(cls):
        return True

class Quits(Good):
    @classmethod
    def availability(cls):
        raise SystemExit(3)

class Unset(Good):
    settings = ["level"]

class Vague(Good):
    def details(self): return {"threads": 1}

class Hungry(Good):
    def run(self, feeds):
        for array in feeds.values():
            array += 1
        return super().run(feeds)

class Double(Good):
    def run(self, feeds): return 2 * super().run(feeds)

class Lists(Good):
    def run(self, feeds): return [o.tolist() for o in super().run(feeds)]

class Half(Good):
    def run(self, feeds): return [o[:, :, :7] for o in super().run(feeds)]

class Whole(Good):
    def run(self, feeds): return [o.astype(int) for o in super().run(feeds)]

class Wide(Good):
    def run(self, feeds): return [o.astype(float) for o in super().run(feeds)]

class Narrow(Good):
    def run(self, feeds): return [o.astype("float16") for o in super().run(feeds)]

class Nothing(Good):
    def run(self, feeds): return None

class Bare:
    @classmethod
    def open(cls, model, options): ...
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Packages that register backends: called with each name and what it names; two packages of them where `again`."""

    def register(points, again=None):
        for package, own in {"other-pack": points, "more-pack": again or {}}.items():
            folder = tmp_path / f"{package.replace('-', '_')}-2.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
            lines = [f"{name} = {value}" for name, value in own.items()]
            (folder / "entry_points.txt").write_text("\n".join(["[seatrial.backends]", *lines]))
        (tmp_path / "another_maker.py").write_text(CODE)
        monkeypatch.syspath_prepend(str(tmp_path))
        forget()

    def forget():
        names.third_party.cache_clear()
        names.clashes.cache_clear()
        sys.modules.pop("another_maker", None)

    yield register
    monkeypatch.undo()
    forget()


def test_one_that_is_installed_runs_like_our_own(installed):
    installed({"good": "another_maker:Good"})
    assert "another_maker" not in sys.modules
    assert "good" in names.known_names()
    assert (availability("good").ok, availability("good").version) == (True, "other-pack 2.0")
    assert check_backend("good:level=3") == BackendChoice("good", options={"level": 3})
    with pytest.raises(UsageError, match="option level: expected a whole number from 1 on, got '0'"):
        check_backend("good:level=0")
    info = inspect_model(MODEL)
    shapes = {"images": (1, 3, 320, 320)}
    feeds = {"images": np.random.default_rng(0).random(shapes["images"], np.float32)}
    choice = BackendChoice("good", options={"level": 2})
    with open_backend(choice, MODEL, OpenOptions.for_shapes(info, 1, shapes)) as opened:
        ours = open_backend("onnxruntime-cpu", MODEL, OpenOptions.for_shapes(info, 1, shapes))
        assert opened._options.settings == {"level": 2}
        assert np.array_equal(opened.run(feeds)[0], ours.run(feeds)[0])
        ours.close()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:Good", "no_such_module:Good does not import: ModuleNotFoundError: No module named 'no_such_module'; "
         "ask who makes other-pack, or uninstall it"),
        ("another_maker:Missing", "does not import: AttributeError"),
        ("another_maker:Bare", "another_maker:Bare lacks inputs, outputs, run, work, another, details, computed_in, io_policy, "
         "close; inherit seatrial.backends.base.Closing"),
        ("another_maker:Stub", "another_maker:Stub lacks inputs, outputs, another, details; docs/backends.md says what"),
        ("another_maker:Absent", "its card is not there; buy one"),
        ("another_maker:Wild", "its own check failed: OSError: no such device; ask who makes other-pack"),
        ("another_maker:Quits", "its own check failed: SystemExit: 3; ask who makes other-pack"),
        ("another_maker:Unset", "another_maker:Unset has ['level']; ask who makes other-pack"),
        ("another_maker:Odd", "its own check answers True, no Availability"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_is_said_and_nothing_else_breaks(installed, value, said):
    installed({"theirs": value})
    status = availability("theirs")
    assert not status.ok
    assert said in f"{status.reason}; {status.cure}"
    with pytest.raises(BackendUnavailableError, match="backend theirs: "):
        open_backend("theirs", MODEL, OpenOptions())
    assert availability("onnxruntime-cpu").ok
    takes("theirs")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Vague", "theirs: expected texts of its details(), got {'threads': 1}; ask who makes other-pack"),
        ("Hungry", "theirs changes the values of input images in its run; ask who makes other-pack"),
        ("Double", "theirs answers with 2 outputs, and by its outputs() it has 1"),
        ("Lists", "theirs answers with list for output output0, and expected was an array"),
        ("Half", "output output0 as float32[1, 9, 7], and by its outputs() it is float32[1, 9, 2100]"),
        ("Whole", "output output0 as int64[1, 9, 2100], and by its outputs() it is float32[1, 9, 2100]"),
        ("Wide", "output output0 as float64[1, 9, 2100], and by its outputs() it is float32[1, 9, 2100]"),
        ("Narrow", "output output0 as float16[1, 9, 2100], and by its outputs() it is float32[1, 9, 2100]"),
        ("Nothing", "theirs answers with NoneType, and expected was a list of arrays"),
    ],
)
def test_a_first_run_that_is_no_answer_is_an_error(installed, value, said):
    """A model alone has no results that would show it."""
    installed({"theirs": f"another_maker:{value}"})
    feeds = {"images": np.zeros((1, 3, 320, 320), np.float32)}
    options = OpenOptions.for_shapes(inspect_model(MODEL), 1, {"images": feeds["images"].shape})
    with pytest.raises(CellError) as e:
        open_backend("theirs", MODEL, options).run(feeds)
    assert said in str(e.value)


def test_only_the_first_run_is_watched(installed):
    installed({"good": "another_maker:Good"})
    feeds = {"images": np.zeros((1, 3, 320, 320), np.float32)}
    options = OpenOptions.for_shapes(inspect_model(MODEL), 1, {"images": feeds["images"].shape})
    with open_backend("good", MODEL, options) as opened:
        assert "run" in vars(opened)
        opened.run(feeds)
        assert "run" not in vars(opened)


def test_two_of_one_name_and_one_of_our_own_and_one_that_is_no_name_are_left_out_and_named(installed):
    good = "another_maker:Good"
    # The last names a cell, and so a file.
    installed({"twice": good, "fake": good, "a/b": good}, again={"twice": good})
    assert "a/b" not in names.third_party()
    assert "twice" not in names.third_party()
    assert "fake" not in names.third_party()
    assert names.clashes() == (
        "a/b: other-pack registers it, and a backend is called by at most 64 letters, digits, '_' and '-'; uninstall it",
        "fake: other-pack registers it, and it is a name of seatrial's own; uninstall it",
        "twice: more-pack and other-pack register it; uninstall one",
    )
    assert "left out: twice: more-pack and other-pack register it" in names.problem_of("twice")


def test_one_that_does_not_import_has_no_options(installed):
    installed({"theirs": "no_such_module:Good"})
    assert plugins.settings("theirs") == ()


@pytest.mark.extra
def test_the_example_of_the_docs_gives_what_onnx_runtime_gives(tmp_path):
    """As its users have it: a package, installed; MNN itself."""
    extra("MNN")
    extra("seatrial_mnn")
    plan = tmp_path / "trial.yaml"
    images = EXAMPLE.parents[2] / "src/seatrial/demo/images"
    plan.write_text(
        f"""
version: 1
images: {{path: "{images}", limit: 4}}
pipelines:
  demo:
    model: "{MODEL}"
    preprocess: {{mode: letterbox, size: [320, 320], pad_value: 114, color: rgb, scale: 1/255}}
    postprocess: {{task: detect, format: yolov8}}
matrix: {{backends: [onnxruntime-cpu, {{name: mnn, backend: mnn-cpu, options: {{precision: high}}}}], threads: [1, 2]}}
budgets: [{{metric: peak_memory, max: 2 GiB}}]
parity: {{agreement: 10%}}
measure: {{max_time: 300 ms, min_samples: 5}}
"""
    )
    done = ran([*SEATRIAL, "run", plan, "--results", tmp_path / "results"])
    assert "mnn = mnn-cpu:precision=high" in done.stdout, done.stdout + done.stderr
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "MNN 3" in next((tmp_path / "results").rglob("record.json")).read_text()


def test_the_example_is_short_and_is_the_one_of_the_docs(tmp_path):
    """All its lines; it imports nothing heavy before it is opened."""
    assert len((EXAMPLE / "seatrial_mnn.py").read_text().splitlines()) <= 40
    for module in EXAMPLE.glob("*.py"):
        shutil.copy(module, tmp_path)
    said = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import seatrial_mnn; print('MNN' in sys.modules)",
         str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "False"
