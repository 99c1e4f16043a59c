"""What becomes of a command's words where nobody takes them: the verdict stays the exit code, and what is measured is kept."""

import io
import json
import os
import shlex
import stat
import sys
import threading

import pytest
from processes import SEATRIAL, ran
from rich.table import Table

from seatrial.cli.output import console


def shell(folder, words, **options):
    """words: for bash; 'seatrial' stands for the command."""
    command = f'seatrial() {{ {shlex.join(SEATRIAL)} "$@"; }}; {words}'
    return ran(["bash", "-c", command], cwd=folder, **options)


@pytest.fixture
def failing(workspace):
    """A plan whose budget nothing holds: exit code 1. And a model for init."""
    from seatrial.demo import MODEL

    (workspace.folder / "model.onnx").write_bytes(MODEL.read_bytes())
    workspace.plan(budgets="[{metric: latency, at: p50, max: 1 us}]", parity="", name="fail.yaml")
    return workspace


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param("seatrial run fail.yaml --json - 2>/dev/null | true", 1, marks=pytest.mark.slow),
        pytest.param("seatrial run fail.yaml | true", 1, marks=pytest.mark.slow),
        pytest.param("seatrial run fail.yaml --json - 2>&1 >/dev/null | true", 1, marks=pytest.mark.slow),
        ("seatrial run nowhere.yaml 2>&1 | true", 4),
        ("seatrial init model.onnx --output - | true", 0),
        pytest.param("seatrial plan schema | true", 0, marks=pytest.mark.slow),
        pytest.param("seatrial --version | true", 0, marks=pytest.mark.slow),
        ("seatrial results --results elsewhere 2>&1 | true", 5),
    ],
)
def test_a_reader_that_leaves_changes_no_exit_code(failing, words, code):
    # The reader has gone before the first word.
    done = shell(failing.folder, words.replace("| true", "| (exec <&-; true)") + "; exit ${PIPESTATUS[0]}")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(("given", "width"), [(None, 128), ("60", 60), ("0", 128), ("wide", 128), ("99999", 128)])
def test_without_a_terminal_the_width_is_what_columns_says(monkeypatch, given, width):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    if given is not None:
        monkeypatch.setenv("COLUMNS", given)
    out = console()
    assert out.width == width
    table = Table(box=None)
    table.add_row("a", "b")
    table.caption, table.caption_justify = "a note that is longer than what the table holds", "left"
    out.print(table)
    out.print("kept ", end="")
    assert not [line for line in sys.stdout.getvalue().splitlines()[:-1] if line.endswith(" ")]
    assert sys.stdout.getvalue().endswith("\nkept ")


@pytest.mark.slow
def test_json_reaches_its_reader_although_the_others_has_left(failing):
    done = shell(failing.folder, "seatrial run fail.yaml --json - 2> >(exec <&-; true); exit $?")
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "FAIL"


@pytest.mark.slow
@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
def test_json_that_standard_output_does_not_take_is_the_environment(failing, output):
    done = shell(failing.folder, f"seatrial run fail.yaml --json - {output}")
    assert done.returncode == 5
    assert "internal error" not in done.stderr
    assert "standard output" in done.stderr
    measured = list(failing.folder.glob("results/*/*/report.html"))
    assert len(measured) == (output == ">/dev/full"), "a closed one is told before the work"


@pytest.mark.slow
def test_json_that_no_disk_takes_loses_neither_the_verdict_nor_the_report(failing):
    done = shell(failing.folder, "seatrial run fail.yaml --json /dev/full")
    assert done.returncode == 5
    assert "--json /dev/full: cannot be written: No space left on device" in done.stderr
    assert "FAIL" in done.stdout
    assert list(failing.folder.glob("results/*/*/report.html"))


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--version", "plan schema", "init model.onnx --output -"])
@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
def test_what_is_only_printed_and_finds_no_room_is_told(tmp_path, words, output):
    from seatrial.demo import MODEL

    (tmp_path / "model.onnx").write_bytes(MODEL.read_bytes())
    done = shell(tmp_path, f"seatrial {words} {output}")
    assert done.returncode == 5
    assert "standard output cannot be written" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["backends", "nonsense"])
def test_a_link_that_leads_nowhere_yet_stays_one(tmp_path, command):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.json").symlink_to("folder/result.json")
    shell(tmp_path, f"seatrial {command} --json link.json")
    assert os.readlink(tmp_path / "link.json") == "folder/result.json"
    if command == "backends":
        assert json.loads((tmp_path / "folder" / "result.json").read_text())
    else:
        assert not (tmp_path / "folder" / "result.json").exists()


@pytest.mark.slow
def test_a_pipe_is_opened_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    done = shell(tmp_path, "seatrial backends --json pipe", timeout_s=60)
    reader.join(timeout=60)
    assert done.returncode == 0
    assert json.loads(read[0])


@pytest.mark.slow
def test_a_name_that_is_no_utf8_is_kept_in_json(failing):
    done = shell(
        failing.folder, "seatrial run fail.yaml -q; mv results/*/* results/$'r\\xff'; seatrial results --json out.json"
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((failing.folder / "out.json").read_text())
    assert row["run"] == os.fsdecode(b"r\xff")
    done = shell(failing.folder, "seatrial results --json - 2>/dev/null")
    assert json.loads(done.stdout) == [row]


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.slow
@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams_disturb_no_process(failing, closed):
    done = shell(failing.folder, f"seatrial run fail.yaml --json out.json {closed}")
    assert done.returncode == 1, done.stderr
    record = json.loads((failing.folder / "out.json").read_text())
    assert [c["status"] for c in record["cells"]] == ["ok", "ok"]
    assert ("FAIL" in done.stdout) == (">&-" not in closed or closed == "2>&-")


@pytest.mark.slow
def test_closed_streams_disturb_no_program_that_calls_seatrial(failing):
    program = (
        "import os, seatrial; os.closerange(0, 3); r = seatrial.run('fail.yaml'); "
        "os._exit(40 + sum(c.status == 'ok' for c in r.cells))"
    )
    assert ran([sys.executable, "-c", program], cwd=failing.folder).returncode == 42


@pytest.mark.slow
def test_an_output_that_is_no_file_is_written_to(failing):
    device = failing.folder / "null"
    if os.getuid() == 0:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    else:
        device.symlink_to("/dev/null")
    (failing.folder / "page.html").symlink_to("kept.html")
    done = shell(
        failing.folder,
        "seatrial run fail.yaml -q; seatrial report latest -o null && seatrial report latest -o page.html"
        " && seatrial report latest -q -o >(cat >copy.html)"
        " && seatrial init model.onnx -o null && seatrial init model.onnx -q -o >(cat >plan.yaml)",
    )
    assert done.returncode == 0, done.stderr
    assert device.is_char_device()
    assert os.readlink(failing.folder / "page.html") == "kept.html"
    assert (failing.folder / "kept.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("inspect model.onnx", marks=pytest.mark.slow),
        pytest.param("backends", marks=pytest.mark.slow),
        "plan check trial.yaml",
        pytest.param("results", marks=pytest.mark.slow),
        pytest.param("doctor", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
def test_a_command_that_only_prints_fails_where_nobody_takes_it(workspace, words, output):
    from seatrial.demo import MODEL

    (workspace.folder / "model.onnx").write_bytes(MODEL.read_bytes())
    (workspace.folder / "results").mkdir()
    workspace.plan()
    done = shell(workspace.folder, f"seatrial {words} {output}")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("standard output cannot be written") == 1
    assert "internal error" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", ["run fail.yaml", "bench fail.yaml:baseline --max-time 200ms"])
def test_a_measurement_that_nobody_could_read_is_kept_with_its_verdict(failing, words):
    done = shell(failing.folder, f"seatrial {words} >/dev/full")
    assert done.returncode == (1 if words.startswith("run") else 0), done.stderr
    assert done.stderr == ""
    assert list(failing.folder.glob("results/*/*/record.json"))
    assert list(failing.folder.glob("results/*/*/report.html"))
