"""A function of the user's own as a candidate: what it gives, raises and takes is told with its name and the image."""

import pytest

from seatrial.diagnosis import run as parity
from seatrial.diagnosis.run import Candidate, run_parity
from seatrial.errors import DataError, PlanError
from seatrial.history.run_folder import new_run

CODE = """
import sys, time
import numpy as np
from seatrial import Classification, Detections

ONE = np.array([0.5], np.float32)

def listed(path): return [1, 2]
def halves(path): return Classification(np.array([1.5]), ONE)
def ragged(path): return Classification(np.array([1, 2]), ONE)
def boxes(path): return Detections(np.array([[1, 2, 3, 4]], np.float32), ONE, np.array([0]))
def ends(path): sys.exit(3)
def sleeps(path): time.sleep(60)
"""


@pytest.fixture
def asked(workspace):
    (workspace.folder / "own.py").write_text(CODE)
    plan = workspace.load(
        pipelines="\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
        "    postprocess: {task: classify, top_k: 1}",
    )

    def ask(function, time_s=60.0):
        name = f"own:{function}"
        with new_run(workspace.folder / "runs", "test") as run:
            return run_parity(plan, run, None, Candidate(name, function=name), time_s=time_s, allow_code=True)

    return ask


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        ("listed", PlanError, r"own:listed, on image 0\.png, gave a list; expected one of seatrial's"),
        (
            "halves",
            PlanError,
            r"own:halves, on image 0\.png, gave Classification\.class_ids of float64 that are not whole",
        ),
        ("ragged", PlanError, r"own:ragged, on image 0\.png, gave Classification of class_ids \(2,\), scores \(1,\)"),
        ("ends", PlanError, r"own:ends: raised SystemExit on image 0\.png: 3; its traceback ends in own\.py"),
        ("boxes", DataError, r"own:boxes: gives Detections as results, where baseline\.\S+ gives Classification"),
    ],
)
def test_what_a_function_gives_is_told_with_its_name_and_the_image(asked, function, error, said):
    with pytest.raises(Exception, match=said) as e:
        asked(function)
    assert e.value.exit_code == error.exit_code


def test_what_takes_too_long_says_which_option_gives_more(asked, monkeypatch):
    monkeypatch.setattr(parity, "TAP_S", 1.5)
    with pytest.raises(PlanError, match=r"stopped; if that is normal, raise max_time") as e:
        asked("sleeps", time_s=0.5)
    assert "raise --max-time" in e.value.for_command_line()
