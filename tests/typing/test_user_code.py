"""The public surface under `mypy --strict`, as a user's own code sees it: user_code.py says what it expects of each name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rounds

import seatrial

USER_CODE = Path(__file__).with_name("user_code.py")
# Of the package under test, in a checkout or installed. A user has no configuration for it, and no plugin.
HOME = Path(seatrial.__file__).parents[1]


def mypy(cache, *files):
    """What it says of the files, without its last line. Of seatrial itself it says nothing, as of any installed package."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MYPYPATH", "PYTHONPATH")}
    if HOME.name != "site-packages":
        environment["MYPYPATH"] = str(HOME)
    words = ["--strict", "--warn-unused-ignores", "--follow-imports=silent", "--config-file=", f"--cache-dir={cache}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "--no-error-summary", *files],
        cwd=cache, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What mypy knows of NumPy, pandas and seatrial after the first call."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
def test_what_stands_in_for_rounds_is_called_as_they_are(cache):
    """At its end it claims that both fit what comparisons call."""
    assert mypy(cache, rounds.__file__) == []


@pytest.mark.slow
def test_user_code_has_the_types_that_it_expects(cache):
    assert mypy(cache, USER_CODE) == []
    # What is no use of a public name is told, line for line: without its `type: ignore` each of those lines is an error.
    text = USER_CODE.read_text("utf-8")
    told = {(n, re.search(r"ignore\[([\w-]+)\]", line)[1]) for n, line in enumerate(text.splitlines(), 1) if "# type: ignore" in line}  # fmt: skip
    assert len(told) > 20
    bare = cache / "bare.py"
    bare.write_text(re.sub(r"  # type: ignore\[[\w-]+\]", "", text), "utf-8")
    found = [re.match(r"bare\.py:(\d+): error: .*\[([\w-]+)\]$", line) for line in mypy(cache, bare)]
    assert {(int(m[1]), m[2]) for m in found if m} == told


@pytest.mark.parametrize("name", seatrial.__all__)
def test_user_code_is_about_every_public_name(name):
    assert f"seatrial.{name}" in USER_CODE.read_text("utf-8")
