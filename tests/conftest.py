"""Workspaces with a scripted model, real images and a plan: what most tests start from."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import warm
from hypothesis import settings
from processes import SEATRIAL, ran
from signal_stack import signal_stack_kept

from seatrial.plan.load import load_plan

# Hypothesis' default deadline is a timed test in disguise; shared machines miss it.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_configure() -> None:
    """SEATRIAL_TEST_COLD=1 starts every process plainly: slower by a second each, and nothing stands in for anything."""
    # Of whoever started the tests: text without a terminal is as wide as it says.
    os.environ.pop("COLUMNS", None)
    if not os.environ.get("SEATRIAL_TEST_COLD"):
        warm.Popen.server = staticmethod(warm.begin)
    subprocess.Popen = warm.Popen


def pytest_unconfigure() -> None:
    if warm.begin.cache_info().currsize:
        warm.begin().end()


@pytest.fixture(autouse=True)
def _own_signal_stack() -> Iterator[None]:
    with signal_stack_kept():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """`@pytest.mark.cold`: what the test starts is an interpreter of its own, as users have it."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("cold"):
            patch.setattr(warm.Popen, "server", None)
        return (yield)


CLASSIFIER = {
    "inputs": {"x": {"shape": ["batch", 3, 8, 8]}},
    "outputs": {"y": {"shape": ["batch", 3], "values": "channel_mean"}},
    # Scattered by far more than a busy machine's speed drifts: with one constant latency, thousands of requests could be worth a handful
    # of independent ones, and no verdict be given.
    "latency_ms": np.random.default_rng(7).uniform(0.2, 0.4, 97).round(4).tolist(),
}


class Workspace:
    """A folder with images/, a scripted classifier whose logits are the channel means, and a plan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "images").mkdir()
        for i, bgr in enumerate([(200, 20, 20), (20, 200, 20), (20, 20, 200), (10, 90, 180)]):
            self.image(f"{i}.png", np.full((12, 16, 3), bgr, np.uint8))
        self.script("model.fake.json")

    def image(self, name: str, pixels: np.ndarray) -> Path:
        path = self.folder / "images" / name
        assert cv2.imwrite(str(path), pixels)
        return path

    def script(self, name: str, **changes: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(CLASSIFIER | changes))
        return path

    def plan(self, text: str = "", name: str = "trial.yaml", **parts: str) -> Path:
        """A plan of two pipelines on the scripted model; `parts` replaces whole sections."""
        sections = {
            "images": "{path: images}",
            "pipelines": "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
            "    postprocess: {task: classify, top_k: 3}\n  candidate: {extends: baseline}",
            "matrix": "{backends: [fake]}",
            # Four images of four alike show 47 % agreement at 95 %.
            "parity": "{agreement: 40%}",
            # The time is for a machine that stands still: twenty samples are there long before it.
            "measure": "{max_time: 2 s, min_samples: 20, precision: 50%}",
        } | parts
        path = self.folder / name
        path.write_text(text or "version: 1\n" + "".join(f"{k}: {v}\n" for k, v in sections.items() if v))
        return path

    def load(self, **parts: str):
        return load_plan(self.plan(**parts))


@pytest.fixture(scope="session")
def make_workspace() -> type[Workspace]:
    """For fixtures that several tests share."""
    return Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One for the tests of a module that all look at the same run; none of them changes it."""
    return Workspace(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def seatrial_cli(tmp_path: Path):
    """Runs the real command in a fresh process, without standard input; the working folder is tmp_path."""

    def call(*arguments: object, cwd: Path | None = None, **options) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SEATRIAL_CACHE": str(tmp_path / "cache"), **options.pop("env", {})}
        return ran([*SEATRIAL, *arguments], cwd=cwd or tmp_path, env=environment, **options)

    return call


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def bench():
    """`seatrial bench` in this process, in the working folder: no imports to pay for. What it measures has processes as ever."""
    from typer.testing import CliRunner

    from seatrial.cli import bench as _registers  # noqa: F401
    from seatrial.cli.shell import app

    def call(*arguments: object) -> Done:
        result = CliRunner().invoke(app, ["bench", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own, which a test may fill."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "seatrial-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
