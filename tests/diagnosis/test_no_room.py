"""What a diagnosis leaves beside its answer cannot be written: one sentence, and no traceback."""

import resource

import pytest

from seatrial.diagnosis.pictures import write_pictures
from seatrial.diagnosis.task_metrics import write_results
from seatrial.errors import ExitCode, ResultsError
from seatrial.report.parity_page import StagePicture


@pytest.fixture
def small_files():
    """None of more than 64 bytes, as `ulimit -f` has it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_files_that_may_not_be_so_large(tmp_path, small_files):
    picture = StagePicture(
        **{name: b"" if name.endswith("picture") else "" for name in StagePicture.__dataclass_fields__}
    )
    names = [f"image-{k}.jpg" for k in range(20)]
    with pytest.raises(ResultsError, match=r"cannot be written: the disk is full \(File too large\)") as e:
        write_pictures(tmp_path, [picture])
    assert e.value.exit_code == ExitCode.ENVIRONMENT
    with pytest.raises(ResultsError, match=r"cannot be written: the disk is full \(File too large\)"):
        write_results(tmp_path, names, [None] * 20, [None] * 20)
