"""Tables of samples in memory that a child shares: what stands in them whatever became of who filled them."""

import os
import resource
import signal

import numpy as np
import pytest

from seatrial.errors import ResultsError
from seatrial.jobs.shared import SharedSamples, anonymous_file, merged


@pytest.fixture(params=["memfd", "a file without a name"])
def make(request, monkeypatch):
    """On both ways to such memory: some Pythons have the first only where their C library had it."""
    if request.param != "memfd":
        monkeypatch.delattr(os, "memfd_create")
    made = []

    def call(clients=2, capacity=8, stages=2):
        made.append(SharedSamples.create(clients, capacity, stages))
        return made[-1]

    yield call
    for one in made:
        one.close()


def row(table, *durations_ns):
    assert table.begin()
    for duration in durations_ns:
        table.give(duration)
    assert table.end()


def test_each_client_has_its_own_table(make):
    memory = make(clients=3)
    first, second, third = memory.tables()
    row(first, 10, 20)
    row(third, 5, 6)
    row(third, 7, 8)
    read = memory.read()
    assert [t[:, 1:3].tolist() for t in read] == [[[10, 20]], [], [[5, 6], [7, 8]]]
    assert [t.shape[1] for t in read] == [4, 4, 4]
    assert [len(t) for t in (first, second, third)] == [1, 0, 2]


@pytest.mark.parametrize(("capacity", "stages"), [(1, 1), (127, 1), (128, 2), (4096, 4)])
def test_tables_of_any_size_do_not_touch(make, capacity, stages):
    """A mapping starts on a page: the last row of one must not be the first of the next."""
    memory = make(clients=2, capacity=capacity, stages=stages)
    a, b = memory.tables()
    for k in range(capacity):
        row(a, *[k] * stages)
        row(b, *[k + 1_000_000] * stages)
    assert not a.begin(), "full"
    read = memory.read()
    assert [len(t) for t in read] == [capacity, capacity]
    assert read[0][:, 1].tolist() == list(range(capacity))
    assert read[1][:, stages].tolist() == list(range(1_000_000, 1_000_000 + capacity))


def test_a_half_row_is_none(make):
    memory = make(clients=1)
    (table,) = memory.tables()
    row(table, 1, 2)
    table.begin()
    table.give(3)
    (read,) = memory.read()
    assert read[:, 1:3].tolist() == [[1, 2]]


def test_what_a_killed_process_had_measured_is_still_there(make):
    memory = make(clients=1)
    child = os.fork()
    if not child:
        (table,) = memory.tables()
        row(table, 11, 22)
        table.begin()
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    (read,) = memory.read()
    assert read[:, 1:3].tolist() == [[11, 22]]


def test_no_room_is_an_error_with_a_cure():
    """A process that may open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(ResultsError) as caught:
            SharedSamples.create(1, 8, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert str(caught.value) == "the system gives no memory for samples: Too many open files; raise its limits"


def test_it_has_no_name_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    descriptor = anonymous_file()
    try:
        assert os.fstat(descriptor).st_size == 0
        assert list(tmp_path.iterdir()) == []
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("tables", "order"),
    [
        ([[]], []),
        ([[], []], []),
        ([[3, 5], [4]], [(3, 0), (4, 1), (5, 0)]),
        # Of requests that began in the same nanosecond, the first client's first.
        ([[7], [7, 8], [7]], [(7, 0), (7, 1), (7, 2), (8, 1)]),
        ([[9], [1]], [(1, 1), (9, 0)]),
    ],
)
def test_rows_of_all_clients_in_order(tables, order):
    made = [np.array([[start, client] for start in starts], np.int64).reshape(-1, 2) for client, starts in enumerate(tables)]  # fmt: skip
    assert [tuple(r) for r in merged(made).tolist()] == order
