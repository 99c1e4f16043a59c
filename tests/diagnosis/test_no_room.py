"""What a diagnosis leaves beside its answer cannot be written: one sentence, and no traceback."""

import subprocess
import sys

import pytest

# None of more than 64 bytes, as `ulimit -f` has it: in a process of its own, whose output goes into a pipe.
CODE = """
import resource, sys
from pathlib import Path

from seatrial.diagnosis.pictures import write_pictures
from seatrial.diagnosis.task_metrics import write_results
from seatrial.errors import ResultsError
from seatrial.report.parity_page import StagePicture

fields = StagePicture.__dataclass_fields__
picture = StagePicture(**{name: b"" if name.endswith("picture") else "" for name in fields})
names = [f"image-{k}.jpg" for k in range(20)]
write = {"pictures": lambda at: write_pictures(at, [picture]), "results": lambda at: write_results(at, names, [None] * 20, [None] * 20)}
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
try:
    write[sys.argv[1]](Path(sys.argv[2]))
except ResultsError as e:
    print(int(e.exit_code), e)
"""


@pytest.mark.parametrize("what", ["pictures", "results"])
def test_files_that_may_not_be_so_large(tmp_path, what):
    done = subprocess.run([sys.executable, "-c", CODE, what, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("5 "), done.stderr
    assert "cannot be written: the disk is full (File too large)" in done.stdout
