"""The words in README and docs are true: plans load, commands and links exist, code runs."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import BaseModel

import seatrial
from seatrial.demo import MODEL
from seatrial.history import records
from seatrial.plan.load import load_plan

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "tools" / "demo" / "README.md",
]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.S)


@pytest.mark.parametrize("page", ["README.md", "docs/plan.md"])
def test_every_plan_that_is_shown_is_valid(page, tmp_path):
    plans = blocks(page, "yaml")
    assert plans
    for text in plans:
        (tmp_path / "trial.yaml").write_text(text)
        assert load_plan(tmp_path / "trial.yaml").plan.pipelines


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_readme_names_real_commands_and_the_two_lines(seatrial_cli):
    text = (ROOT / "README.md").read_text()
    assert "python -m pip install '.[cpu]' && seatrial demo" in text
    assert "python -m pip install '.[cpu,test]' && python -m pytest" in text
    known = seatrial_cli("--help").stdout
    for command in set(re.findall(r"`seatrial ([a-z]+)", text)):
        assert command in known


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch):
    code = next(b for b in blocks("README.md", "python") if "Preprocess" in b)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    cv2.imwrite("photos/1.jpg", np.full((90, 120, 3), 60, np.uint8))
    shutil.copy(MODEL, "detector.onnx")
    names = {}
    code = "\n".join(line for line in code.splitlines() if "seatrial.run(" not in line and "load_results" not in line)
    exec(code, names)
    assert names["tensor"].shape == (1, 3, 320, 320)
    assert isinstance(names["detections"][0], seatrial.Detections)


def test_every_field_of_a_record_stands_on_its_page():
    page = re.sub(r"```.*?```", "", (ROOT / "docs" / "records.md").read_text(), flags=re.S)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", page))))
    models = [m for m in map(vars(records).get, records.__all__) if isinstance(m, type) and issubclass(m, BaseModel)]
    missing = {m.__name__: [f for f in m.model_fields if f.rstrip("_") not in named] for m in models}
    assert not any(missing.values()), {k: v for k, v in missing.items() if v}
