"""The loops that time requests: when they end, what a row holds, who waits for whom, and what a killed process leaves.

Nothing is compared with what a quiet machine would show: bounds are those that hold however late a thread is woken.
"""

import ctypes
import gc
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import ran

from seatrial._native.timing import (
    Halt,
    MixWork,
    PythonWork,
    SpinWork,
    StageSamples,
    Work,
    closed_loop,
    closed_loops,
    now_ns,
    open_loop,
)

FOREVER_NS = (1 << 63) - 1
HOUR_NS = 3600 * 10**9
MS = 1_000_000
START, WHOLE = 0, -1
few = settings(max_examples=15)


def within(seconds, call):
    """What `call` returns; fails, rather than hangs, where a loop does not end."""
    box = []

    def run():
        try:
            box.append((call(), None))
        except BaseException as e:
            box.append((None, e))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert box, f"did not end within {seconds} s"
    value, error = box[0]
    if error:
        raise error
    return value


def ends(rows):
    return rows[:, START] + rows[:, WHOLE]


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for nothing"
        time.sleep(0.001)


# ---- A table in shared memory ----

CHILD = """
import mmap, sys, time
from seatrial._native.timing import SpinWork, StageSamples, closed_loop
fd, capacity, stages = map(int, sys.argv[1:4])
samples = StageSamples(capacity, stages, mmap.mmap(fd, 0))
"""
MID_ROW = """
for _ in range(int(sys.argv[4])):
    assert samples.begin()
    for _ in range(stages):
        samples.lap()
    assert samples.end()
samples.begin()
for _ in range(stages - 1):
    samples.lap()
print("mid-row", flush=True)
time.sleep(600)
"""
NEVER_ENDING = "closed_loop(SpinWork(20_000), samples, deadline_ns=(1 << 63) - 1)"


@contextmanager
def shared_memory(kind, size, folder):
    if kind == "memfd":
        fd = os.memfd_create("seatrial-test")
    else:
        fd = os.open(folder / "table", os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, 0) as memory:
            yield fd, memory
    finally:
        os.close(fd)


@contextmanager
def child(code, fd, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD + code, str(fd), *map(str, arguments)], pass_fds=[fd], stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


kinds_of_memory = pytest.mark.parametrize(
    "kind",
    [
        pytest.param("memfd", marks=pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this Python lacks it")),
        "file",
    ],
)


@kinds_of_memory
@pytest.mark.parametrize(("rows", "stages"), [(0, 1), (1, 1), (1, 3), (50, 2)])
def test_a_process_killed_in_a_row_leaves_exactly_the_whole_rows(kind, rows, stages, tmp_path):
    with shared_memory(kind, 8 * StageSamples.words(60, stages), tmp_path) as (fd, memory):
        with child(MID_ROW, fd, 60, stages, rows) as process:
            assert process.stdout.readline() == "mid-row\n"
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
        words = np.frombuffer(memory, np.int64)
        # The row that was begun is there, and is not counted.
        assert words[8 + rows * (stages + 2)] > 0
        del words
        table = StageSamples.read(memory, stages)
    assert table.shape == (rows, stages + 2)
    assert (table[:, START] > 0).all()
    assert (table[:, 1:-1].sum(axis=1) <= table[:, WHOLE]).all()
    assert (ends(table)[:-1] <= table[1:, START]).all()


@pytest.mark.parametrize("rows", [1, 40, 3000])
def test_a_process_killed_at_any_moment_leaves_whole_rows(rows, tmp_path):
    with shared_memory("file", 8 * StageSamples.words(2_000_000, 1), tmp_path) as (fd, memory):
        with child(NEVER_ENDING, fd, 2_000_000, 1) as process:
            seen = np.empty((0, 3), np.int64)
            while len(seen) < rows:
                # What a live process has finished stays as it is.
                later = StageSamples.read(memory, 1)
                np.testing.assert_array_equal(later[: len(seen)], seen)
                seen = later
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        table = StageSamples.read(memory, 1)
    np.testing.assert_array_equal(table[: len(seen)], seen)
    assert (table[:, 1] >= 20_000).all()
    assert (table[:, WHOLE] >= table[:, 1]).all()
    assert (ends(table)[:-1] <= table[1:, START]).all()


@pytest.mark.parametrize("count", [-1, 6, 1 << 62, -(1 << 63), (1 << 63) - 1])
def test_a_corrupted_count_is_refused(count):
    memory = bytearray(8 * StageSamples.words(5, 2))
    closed_loop(PythonWork(lambda lap: (lap(), lap())), StageSamples(5, 2, memory), deadline_ns=FOREVER_NS)
    assert len(StageSamples.read(memory, 2)) == 5
    np.frombuffer(memory, np.int64)[0] = count
    with pytest.raises(ValueError, match=rf"expected a table of 2 stages, got a count of {count} rows in 28 words"):
        StageSamples.read(memory, 2)


@given(
    size=st.integers(0, 40), count=st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 12), stages=st.integers(1, 5)
)
def test_any_memory_is_read_within_its_bounds_or_refused(size, count, stages):
    words = np.arange(size, dtype=np.int64)
    words[:1] = count
    if size >= 8 and 0 <= count * (stages + 2) <= size - 8:
        rows = StageSamples.read(words, stages)
        np.testing.assert_array_equal(rows.ravel(), np.arange(8, 8 + count * (stages + 2)))
    else:
        with pytest.raises(ValueError, match="expected a table"):
            StageSamples.read(words, stages)


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (bytearray(0), "memory: expected at least 256 bytes, got 0"),
        (bytearray(248), "memory: expected at least 256 bytes, got 248"),
        (bytearray(255), "multiple of element size"),
        (bytes(256), "read-only"),
        (memoryview(bytearray(264))[1:257], "memory: expected an address that is a multiple of 8"),
    ],
    ids=["none", "a word short", "a byte short", "read-only", "not aligned"],
)
def test_memory_that_does_not_serve_is_refused(memory, message):
    assert 8 * StageSamples.words(6, 2) == 256
    with pytest.raises(ValueError, match=message):
        StageSamples(6, 2, memory)


@pytest.mark.parametrize("stages", [0, -1, -2, -(1 << 63)])
def test_a_table_of_no_stages_is_not_read(stages):
    with pytest.raises(ValueError, match=f"stages must be at least 1, got {stages}"):
        StageSamples.read(bytes(800), stages)


def test_nothing_is_written_behind_the_table():
    memory = bytearray(b"\xaa" * (8 * StageSamples.words(4, 1) + 64))
    samples = StageSamples(4, 1, memory)
    assert closed_loop(SpinWork(), samples, deadline_ns=FOREVER_NS) == "full"
    closed_loop(SpinWork(), samples, deadline_ns=FOREVER_NS)
    assert memory[-64:] == b"\xaa" * 64
    np.testing.assert_array_equal(StageSamples.read(memory, 1), samples.to_array())


@pytest.mark.parametrize(("capacity", "stages"), [(1 << 58, 2), (((1 << 61) - 9) // 3, 1)])
def test_a_table_beyond_any_object_is_a_memory_error(capacity, stages):
    for make in (StageSamples, StageSamples.words):
        with pytest.raises(MemoryError):
            make(capacity, stages)


# ---- Closed loops ----


def asked():
    halt = Halt()
    halt.ask()
    assert halt.asked
    return halt


CLOSED = [
    # how it ends, rows, options; the table takes 50
    ("count", 7, {"most": 7}),
    ("count", 0, {"most": 0}),
    ("count", 50, {"most": 50}),
    ("full", 50, {"most": 51}),
    ("full", 50, {}),
    ("deadline", 0, {"deadline_ns": 0}),
    ("deadline", 0, {"deadline_ns": -(1 << 63)}),
    ("deadline", 0, {"deadline_ns": 0, "gap_ns": (1 << 63) - 1}),
    ("asked", 0, {"halt": asked()}),
    ("asked", 0, {"halt": asked(), "deadline_ns": 0, "gap_ns": 1}),
    ("count", 0, {"halt": asked(), "most": 0}),
    ("full", 50, {"gap_ns": -5}),
]


@pytest.mark.parametrize(("how", "rows", "options"), CLOSED)
def test_a_closed_loop_ends_as_it_says(how, rows, options):
    options = {"deadline_ns": FOREVER_NS} | options
    samples = StageSamples(50, 1)
    assert closed_loop(SpinWork(), samples, **options) == how
    assert len(samples) == rows
    tables = [StageSamples(50, 1) for _ in range(3)]
    assert closed_loops([SpinWork() for _ in tables], tables, **options) == how
    # A full table ends the others too: they would go on as another load, of fewer clients.
    assert max(len(t) for t in tables) == rows
    assert how == "full" or [len(t) for t in tables] == [rows] * 3


def test_no_request_starts_after_the_deadline():
    samples = StageSamples(200_000, 1)
    deadline = now_ns() + 100 * MS
    assert closed_loop(SpinWork(1000), samples, deadline_ns=deadline) == "deadline"
    rows = samples.to_array()
    assert len(rows) > 1
    assert (rows[:, START] < deadline).all()
    assert now_ns() >= deadline


def test_a_second_loop_goes_on_in_the_same_table():
    samples = StageSamples(10, 1)
    assert closed_loop(SpinWork(), samples, deadline_ns=FOREVER_NS, most=4) == "count"
    assert closed_loop(SpinWork(), samples, deadline_ns=FOREVER_NS, most=4) == "count"
    assert closed_loop(SpinWork(), samples, deadline_ns=FOREVER_NS, most=4) == "full"
    rows = samples.to_array()
    assert len(rows) == 10
    assert (ends(rows)[:-1] <= rows[1:, START]).all()


def test_rows_of_a_closed_loop_follow_each_other_and_hold_the_service():
    samples = StageSamples(200, 1)
    before = now_ns()
    closed_loop(SpinWork(30_000), samples, deadline_ns=FOREVER_NS)
    after = now_ns()
    rows = samples.to_array()
    assert before <= rows[0, START]
    assert ends(rows)[-1] <= after
    assert (rows[:, 1] >= 30_000).all()
    assert (rows[:, 1] <= rows[:, WHOLE]).all()
    assert (ends(rows)[:-1] <= rows[1:, START]).all()


def test_a_gap_leaves_the_core_alone():
    gap = 4 * MS
    samples = StageSamples(40, 1)
    wall, busy = time.monotonic_ns(), time.thread_time_ns()
    assert closed_loop(SpinWork(10_000), samples, deadline_ns=FOREVER_NS, most=25, gap_ns=gap) == "count"
    wall, busy = time.monotonic_ns() - wall, time.thread_time_ns() - busy
    rows = samples.to_array()
    assert (rows[1:, START] - ends(rows)[:-1] >= gap).all()
    # A gap follows each request, the last too, so that the next call begins as a request in the middle does.
    assert wall >= 25 * gap
    assert busy < wall / 2


@pytest.mark.parametrize("gap", [HOUR_NS, (1 << 63) - 1])
def test_a_gap_ends_at_the_deadline(gap):
    samples = StageSamples(9, 1)
    deadline = now_ns() + 100 * MS
    assert within(60, lambda: closed_loop(SpinWork(), samples, deadline_ns=deadline, gap_ns=gap)) == "deadline"
    assert len(samples) == 1
    assert now_ns() >= deadline


@pytest.mark.parametrize("clients", [1, 2])
def test_a_gap_ends_where_it_is_asked(clients):
    halt, tables = Halt(), [StageSamples(9, 1) for _ in range(clients)]

    def ask():
        wait_for(lambda: all(len(t) for t in tables))
        halt.ask()

    threading.Thread(target=ask, daemon=True).start()
    works = [SpinWork() for _ in tables]
    how = within(60, lambda: closed_loops(works, tables, deadline_ns=FOREVER_NS, gap_ns=HOUR_NS, halt=halt))
    assert (how, [len(t) for t in tables]) == ("asked", [1] * clients)


def test_a_stall_is_in_exactly_one_row():
    stall = 200 * MS
    samples = StageSamples(60, 1)
    closed_loop(SpinWork(100_000, stall_at=17, stall_ns=stall), samples, deadline_ns=FOREVER_NS)
    assert np.flatnonzero(samples.to_array()[:, WHOLE] >= stall).tolist() == [17]


@pytest.mark.parametrize("fail_at", [0, 1, 30])
def test_a_failure_is_raised_once_and_the_rows_before_it_stay(fail_at):
    work, samples = SpinWork(fail_at=fail_at), StageSamples(40, 1)
    with pytest.raises(RuntimeError, match=f"request {fail_at} was told to fail"):
        closed_loop(work, samples, deadline_ns=FOREVER_NS)
    assert len(samples) == fail_at
    work.check()
    assert closed_loop(work, samples, deadline_ns=FOREVER_NS) == "full"
    assert len(samples) == 40


def test_a_loop_that_ends_before_the_failing_request_raises_nothing():
    work, samples = SpinWork(fail_at=3), StageSamples(9, 1)
    assert closed_loop(work, samples, deadline_ns=FOREVER_NS, most=3) == "count"
    with pytest.raises(RuntimeError, match="request 3"):
        closed_loop(work, samples, deadline_ns=FOREVER_NS, most=1)
    assert len(samples) == 3


@pytest.mark.parametrize("clients", [1, 2, 3, 5])
def test_each_client_fills_its_own_table_inside_the_window(clients):
    tables = [StageSamples(100_000, 1) for _ in range(clients)]
    works = [SpinWork(200_000) for _ in tables]
    before = now_ns()
    deadline = before + 400 * MS
    assert closed_loops(works, tables, deadline_ns=deadline) == "deadline"
    after = now_ns()
    for samples in tables:
        rows = samples.to_array()
        assert len(rows) > 0
        assert before <= rows[0, START]
        assert rows[-1, START] < deadline
        assert ends(rows)[-1] <= after
        assert (rows[:, 1] >= 200_000).all()
        assert (ends(rows)[:-1] <= rows[1:, START]).all()


def test_clients_run_at_once():
    meet = threading.Barrier(3, timeout=60)
    tables = [StageSamples(5, 1) for _ in range(3)]

    def once(lap):
        meet.wait()
        lap()

    assert closed_loops([PythonWork(once) for _ in tables], tables, deadline_ns=FOREVER_NS, most=5) == "count"
    assert [len(t) for t in tables] == [5] * 3


@pytest.mark.parametrize("loop", ["clients", "open"])
def test_a_client_of_python_keeps_its_thread_from_request_to_request(loop):
    """A thread that the interpreter got to know anew in each request would lose what users keep per thread."""
    own = threading.local()
    seen = [[] for _ in range(3)]

    def client(number):
        def once(lap):
            own.requests = getattr(own, "requests", 0) + 1
            seen[number].append((threading.get_ident(), own.requests))
            lap()

        return PythonWork(once)

    works, before = [client(n) for n in range(3)], threading.active_count()
    if loop == "clients":
        closed_loops(works, [StageSamples(20, 1) for _ in works], deadline_ns=FOREVER_NS, most=20)
    else:
        due = np.arange(60) * 100_000
        open_loop(works, [StageSamples(60, 2) for _ in works], due, first_ns=now_ns(), deadline_ns=FOREVER_NS)
    for requests in seen:
        assert len({thread for thread, _ in requests}) <= 1
        assert [count for _, count in requests] == list(range(1, len(requests) + 1))
    assert sum(map(len, seen)) == 60
    assert threading.active_count() == before


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failing_client_ends_the_others(failing):
    works = [SpinWork(MS, fail_at=5 if c == failing else -1) for c in range(3)]
    tables = [StageSamples(1_000_000, 1) for _ in works]
    with pytest.raises(RuntimeError, match="request 5 was told to fail"):
        within(60, lambda: closed_loops(works, tables, deadline_ns=FOREVER_NS))
    assert len(tables[failing]) == 5
    assert all(len(t) < 1_000_000 for t in tables)


def test_a_failing_client_ends_the_others_gap_too():
    works = [SpinWork(50 * MS, fail_at=0), SpinWork()]
    tables = [StageSamples(9, 1) for _ in works]
    with pytest.raises(RuntimeError, match="request 0"):
        within(60, lambda: closed_loops(works, tables, deadline_ns=FOREVER_NS, gap_ns=HOUR_NS))


def test_a_second_failing_client_leaves_no_error_behind():
    meet = threading.Barrier(2, timeout=60)
    fails = [True, True]

    def client(number):
        def once(lap):
            lap()
            if fails[number]:
                meet.wait()
                raise OSError(f"client {number}")

        return PythonWork(once)

    works = [client(0), client(1)]
    with pytest.raises(OSError, match="client 0"):
        closed_loops(works, [StageSamples(5, 1) for _ in works], deadline_ns=FOREVER_NS)
    fails[:] = [False, False]
    for work in works:
        work.check()
        assert closed_loop(work, StageSamples(5, 1), deadline_ns=FOREVER_NS) == "full"


def test_the_most_important_end_is_told():
    tables = [StageSamples(3, 1), StageSamples(100_000, 1)]
    works = [SpinWork(), SpinWork(10_000)]
    assert closed_loops(works, tables, deadline_ns=now_ns() + 50 * MS) == "full"
    assert len(tables[0]) == 3


NOT_WORK = [
    (None, TypeError, "expected work that a loop can call, got None"),
    (Work(), TypeError, "expected work that a loop can call, got Work"),
    (3, TypeError, "Cannot convert int to seatrial._native.timing.Work"),
]


@pytest.mark.parametrize(("work", "error", "message"), NOT_WORK)
def test_what_is_not_work_is_refused(work, error, message):
    good, tables = SpinWork(), [StageSamples(1, 1), StageSamples(1, 1)]
    for call in (
        lambda: closed_loops([good, work], tables, deadline_ns=FOREVER_NS),
        lambda: open_loop([good, work], tables, [0], first_ns=0, deadline_ns=FOREVER_NS),
        lambda: MixWork([good, work], [0]),
    ):
        with pytest.raises(error, match=message):
            call()
    with pytest.raises(TypeError):
        closed_loop(work, tables[0], deadline_ns=FOREVER_NS)
    assert [len(t) for t in tables] == [0, 0]


def test_what_is_not_a_table_is_refused():
    for table in (None, 3):
        with pytest.raises(TypeError):
            closed_loops([SpinWork()], [table], deadline_ns=FOREVER_NS)
        with pytest.raises(TypeError):
            closed_loop(SpinWork(), table, deadline_ns=FOREVER_NS)


def test_clients_share_neither_work_nor_table():
    work, table = SpinWork(), StageSamples(9, 1)
    for works, tables in (([work, work], [table, StageSamples(9, 1)]), ([work, SpinWork()], [table, table])):
        with pytest.raises(ValueError, match="got one of them twice"):
            closed_loops(works, tables, deadline_ns=FOREVER_NS)
        with pytest.raises(ValueError, match="got one of them twice"):
            open_loop(works, tables, [0], first_ns=0, deadline_ns=FOREVER_NS)
    assert len(table) == 0


@pytest.mark.parametrize(("works", "tables"), [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2)])
def test_each_work_wants_a_table(works, tables):
    with pytest.raises(ValueError, match=f"expected one table for each of at least one work, got {works} and {tables}"):
        closed_loops(
            [SpinWork() for _ in range(works)], [StageSamples(1, 1) for _ in range(tables)], deadline_ns=FOREVER_NS
        )


# ---- Open loops ----


def queue(arrivals, services):
    """Lindley's recursion: what each request waits for one server that serves in order."""
    waits = [0]
    for gap, service in zip(np.diff(arrivals), services, strict=False):
        waits.append(max(0, waits[-1] + service - int(gap)))
    return np.array(waits)


def served(arrivals, works, first_ns=None, deadline_ns=FOREVER_NS, halt=None):
    """How it ended, first_ns, and one table a server: columns are due, waited, service, whole."""
    first = now_ns() + 5 * MS if first_ns is None else first_ns
    tables = [StageSamples(max(1, len(arrivals)), 2) for _ in works]
    how = open_loop(works, tables, arrivals, first_ns=first, deadline_ns=deadline_ns, halt=halt)
    return how, first, [t.to_array() for t in tables]


def check_one_server(rows, first, arrivals, services):
    np.testing.assert_array_equal(rows[:, START], first + np.asarray(arrivals))
    assert (rows[:, 2] >= services).all()
    # The clock read its end after the service's; nothing of a request lies outside its row.
    assert (rows[:, 1] + rows[:, 2] <= rows[:, WHOLE]).all()
    # A server takes a request when it is done with the one before, and not before it is due.
    assert (rows[:, 1] >= 0).all()
    assert (rows[1:, START] + rows[1:, 1] >= ends(rows)[:-1]).all()
    assert (rows[:, 1] >= queue(arrivals, services)).all()


def test_a_stall_is_charged_to_each_request_behind_it():
    count, gap, service, stall, at = 40, 5 * MS, 2 * MS, 50 * MS, 4
    arrivals = np.arange(count) * gap
    services = np.full(count, service)
    services[at] += stall
    how, first, (rows,) = served(arrivals, [SpinWork(service, stall_at=at, stall_ns=stall)])
    assert how == "count"
    check_one_server(rows, first, arrivals, services)
    # The backlog of 47 ms shrinks by 3 ms a request.
    waits = queue(arrivals, services)
    assert np.flatnonzero(waits).tolist() == list(range(at + 1, at + 17))
    assert (rows[at + 1 : at + 17, WHOLE] >= waits[at + 1 : at + 17] + service).all()
    assert ends(rows)[-1] <= now_ns()


@few
@given(
    gaps=st.lists(st.integers(0, 1_500_000), min_size=1, max_size=12),
    service=st.integers(0, 1_000_000),
    stall_at=st.integers(0, 11),
    stall=st.integers(0, 3 * MS),
)
def test_waiting_is_at_least_that_of_the_queue(gaps, service, stall_at, stall):
    arrivals = np.cumsum([0, *gaps])
    services = np.full(len(arrivals), service)
    services[stall_at : stall_at + 1] += stall
    how, first, (rows,) = served(arrivals, [SpinWork(service, stall_at=stall_at, stall_ns=stall)])
    assert how == "count"
    check_one_server(rows, first, arrivals, services)


@pytest.mark.parametrize("late", [0, 30 * MS, HOUR_NS])
def test_a_request_that_is_due_in_the_past_starts_when_it_was_due(late):
    # The clock counts from the machine's start, and shows nothing before it.
    first = max(0, now_ns() - late)
    late = now_ns() - first
    how, _, (rows,) = served([0, 0, 7, 1000], [SpinWork()], first_ns=first)
    assert how == "count"
    np.testing.assert_array_equal(rows[:, START] - first, [0, 0, 7, 1000])
    assert (rows[:, 1] >= late - 1000).all()


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_each_request_is_served_once_by_a_server_that_takes_them_in_order(servers):
    arrivals = np.sort(np.random.default_rng(servers).integers(0, 60 * MS, 300))
    arrivals[100:140] = arrivals[100]
    how, first, tables = served(arrivals, [SpinWork(50_000) for _ in range(servers)])
    assert how == "count"
    for rows in tables:
        assert (np.diff(rows[:, START]) >= 0).all()
        assert (rows[:, 1] >= 0).all()
        assert (rows[1:, START] + rows[1:, 1] >= ends(rows)[:-1]).all()
    np.testing.assert_array_equal(np.sort(np.concatenate(tables)[:, START]), first + arrivals)


def test_one_server_sees_requests_in_order():
    seen, kinds = [], np.random.default_rng(0).integers(0, 3, 40)
    works = [PythonWork(lambda lap, k=k: (seen.append(k), lap())) for k in range(3)]
    served(np.arange(40) * 10_000, [MixWork(works, kinds)])
    assert seen == kinds.tolist()


def test_a_stalled_server_leaves_the_queue_to_the_other():
    rest_done = threading.Event()
    done = []

    def once(lap):
        done.append(None)
        if len(done) == 1:
            assert rest_done.wait(60)
        elif len(done) == 20:
            rest_done.set()
        lap()

    how, _, tables = served(np.arange(20) * 1000, [PythonWork(once), PythonWork(once)])
    assert how == "count"
    assert sorted(len(t) for t in tables) == [1, 19]


def test_two_servers_halve_the_queue():
    """They sleep, which any number can do at once on however few cores."""
    count, service = 8, 20 * MS

    def serve(servers):
        works = [PythonWork(lambda lap: (time.sleep(service / 1e9), lap())) for _ in range(servers)]
        return np.concatenate(served([0] * count, works)[2])

    for _ in range(5):
        one, two = serve(1), serve(2)
        assert (np.sort(one[:, 1]) >= np.arange(count) * service).all()
        assert (np.sort(two[:, 1]) >= np.arange(count) // 2 * service).all()
        # A machine that stands still meanwhile does so for one of the two.
        if two[:, 1].sum() < 0.65 * one[:, 1].sum():
            return
    pytest.fail("two servers never halved the queue")


def test_requests_that_no_server_took_before_the_deadline_have_no_row():
    first = now_ns() + 20 * MS
    work = SpinWork(stall_at=0, stall_ns=300 * MS)
    how, _, (rows,) = served(np.arange(50) * MS, [work], first, deadline_ns=first + 200 * MS)
    assert how == "deadline"
    np.testing.assert_array_equal(rows[:, START], [first])


def test_requests_due_after_the_deadline_have_no_row():
    first = now_ns() + 100 * MS
    how, _, (rows,) = served([0, 1, HOUR_NS, 2 * HOUR_NS], [SpinWork()], first, deadline_ns=first + HOUR_NS)
    assert how == "deadline"
    np.testing.assert_array_equal(rows[:, START] - first, [0, 1])


def test_a_full_table_ends_all_servers():
    tables = [StageSamples(3, 2), StageSamples(100, 2)]
    works = [SpinWork(100_000), SpinWork(100_000)]
    assert open_loop(works[:1], tables[:1], [0] * 10, first_ns=now_ns(), deadline_ns=FOREVER_NS) == "full"
    assert len(tables[0]) == 3
    # The first one's is full from before: what the other served alone would be another load.
    assert open_loop(works, tables, [0] * 10_000, first_ns=now_ns(), deadline_ns=FOREVER_NS) == "full"
    assert len(tables[0]) == 3
    assert len(tables[1]) < 100


def test_an_open_loop_fills_two_stages_at_least():
    samples = StageSamples(5, 1)
    assert open_loop([SpinWork()], [samples], [0] * 5, first_ns=0, deadline_ns=FOREVER_NS) == "count"
    assert len(samples) == 0


BAD_ARRIVALS = [
    ([1, 0], "ascending"),
    ([0, 5, 4], "ascending"),
    ([[0, 1], [2, 3]], "ascending"),
    # A difference would wrap round.
    ([1 << 62, -(1 << 63)], "ascending"),
    ([-(1 << 63), (1 << 63) - 1], "that the clock can show"),
    ([-2], "that the clock can show"),
    ([0, (1 << 63) - 1], "that the clock can show"),
]


@pytest.mark.parametrize(("arrivals", "message"), BAD_ARRIVALS)
def test_bad_arrivals_are_refused(arrivals, message):
    with pytest.raises(ValueError, match=f"arrivals_ns: expected .*{message}"):
        open_loop([SpinWork()], [StageSamples(9, 2)], arrivals, first_ns=1, deadline_ns=FOREVER_NS)


@pytest.mark.parametrize("arrivals", [[], np.empty(0)])
def test_no_arrivals_are_no_requests(arrivals):
    assert served(arrivals, [SpinWork()])[0] == "count"


@pytest.mark.parametrize("servers", [1, 3])
def test_a_halt_is_heard_while_the_next_arrival_is_far(servers):
    halt, at = Halt(), []
    tables = [StageSamples(9, 2) for _ in range(servers)]

    def ask():
        wait_for(lambda: any(len(t) for t in tables))
        at.append(now_ns())
        halt.ask()

    threading.Thread(target=ask, daemon=True).start()
    works = [SpinWork() for _ in tables]
    arrivals = [0, *[HOUR_NS] * servers]
    how = within(60, lambda: open_loop(works, tables, arrivals, first_ns=now_ns(), deadline_ns=FOREVER_NS, halt=halt))
    assert how == "asked"
    assert now_ns() - at[0] < 5 * 10**9
    assert sum(len(t) for t in tables) == 1


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_a_failing_server_ends_the_others_which_wait_for_a_far_arrival(servers):
    works = [SpinWork(20 * MS, fail_at=0) for _ in range(servers)]
    arrivals = [100 * MS, *[HOUR_NS] * servers]
    with pytest.raises(RuntimeError, match="request 0 was told to fail"):
        within(60, lambda: served(arrivals, works))


def test_a_halt_before_the_start_serves_nothing():
    how, _, tables = served([0, 0, 0], [SpinWork(), SpinWork()], halt=asked())
    assert how == "asked"
    assert sum(map(len, tables)) == 0


def test_the_callers_timers_stay_as_they_were():
    libc, slack = ctypes.CDLL(None), 30
    before = libc.prctl(slack)
    try:
        assert libc.prctl(29, 77_000) == 0
        if libc.prctl(slack) != 77_000:
            pytest.skip("a real-time thread has no timer slack")
        served([0, 1000], [SpinWork(), SpinWork()])
        closed_loops([SpinWork()], [StageSamples(1, 1)], deadline_ns=FOREVER_NS)
        assert libc.prctl(slack) == 77_000
    finally:
        libc.prctl(29, before)


# ---- Kinds of work ----


@given(order=st.lists(st.integers(0, 4), min_size=1, max_size=30), most=st.integers(1, 70))
def test_a_mix_takes_its_kinds_in_order_over_and_over(order, most):
    seen = []
    mix = MixWork([PythonWork(lambda lap, k=k: (seen.append(k), lap())) for k in range(5)], order)
    samples = StageSamples(70, 1)
    assert closed_loop(mix, samples, deadline_ns=FOREVER_NS, most=most) == "count"
    assert seen == [order[i % len(order)] for i in range(most)]
    # It goes on where it was.
    closed_loop(mix, StageSamples(1, 1), deadline_ns=FOREVER_NS)
    assert seen[-1] == order[most % len(order)]


BAD_ORDERS = [
    ([], "expected works and an order, got 2 and 0"),
    ([0, 2], "expected numbers from 0 to 1, got 0 to 2"),
    ([-1, 0], "expected numbers from 0 to 1, got -1 to 0"),
    # As bytes these would be 0 and 1.
    ([256, 257], "expected numbers from 0 to 1, got 256 to 257"),
    (np.array([-256]), "expected numbers from 0 to 1, got -256 to -256"),
    ([1 << 40], "expected numbers from 0 to 1"),
    ([0.7], "expected a row of whole numbers, got 1 dimensions of float64"),
    ([[0, 1]], "expected a row of whole numbers, got 2 dimensions of int64"),
    (0, "expected a row of whole numbers, got 0 dimensions"),
    (["0"], "expected a row of whole numbers"),
    ([True], "expected a row of whole numbers"),
]


@pytest.mark.parametrize(("order", "message"), BAD_ORDERS)
def test_a_bad_order_is_refused(order, message):
    with pytest.raises(ValueError, match=message):
        MixWork([SpinWork(), SpinWork()], order)


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="expected works and an order, got 0 and 1"):
        MixWork([], [0])


def test_a_byte_names_at_most_256_kinds():
    works = [SpinWork() for _ in range(300)]
    closed_loop(MixWork(works, range(256)), StageSamples(256, 1), deadline_ns=FOREVER_NS)
    with pytest.raises(ValueError, match="expected numbers from 0 to 255, got 0 to 256"):
        MixWork(works, range(257))


def test_a_mix_keeps_its_works_and_tells_which_failed():
    mix = MixWork((SpinWork(fail_at=k) for k in (-1, 2)), np.array([0, 1], np.uint64))
    gc.collect()
    samples = StageSamples(50, 1)
    with pytest.raises(RuntimeError, match="request 2 was told to fail"):
        closed_loop(mix, samples, deadline_ns=FOREVER_NS)
    assert len(samples) == 5
    mix.check()


def test_a_mix_of_mixes():
    seen = []
    a, b, c = (PythonWork(lambda lap, k=k: (seen.append(k), lap())) for k in "abc")
    closed_loop(MixWork([MixWork([a, b], [0, 1]), c], [0, 1]), StageSamples(6, 1), deadline_ns=FOREVER_NS)
    assert "".join(seen) == "acbcac"


class Own(BaseException):
    pass


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, MemoryError, Own])
@pytest.mark.parametrize("loop", ["closed", "clients", "open"])
def test_what_python_work_raises_ends_the_loop_and_comes_out_once(kind, loop):
    calls = []

    def once(lap):
        calls.append(None)
        lap()
        if len(calls) == 4:
            raise kind("fourth")

    work, samples = PythonWork(once), StageSamples(9, 2 if loop == "open" else 1)
    calls_of = {
        "closed": lambda: closed_loop(work, samples, deadline_ns=FOREVER_NS),
        "clients": lambda: closed_loops([work], [samples], deadline_ns=FOREVER_NS),
        "open": lambda: open_loop([work], [samples], [0] * 9, first_ns=0, deadline_ns=FOREVER_NS),
    }
    with pytest.raises(kind, match="fourth"):
        calls_of[loop]()
    assert (len(calls), len(samples)) == (4, 3)
    work.check()
    assert calls_of[loop]() == "full"
    assert len(samples) == 9


def test_a_lap_outside_of_a_loop_does_nothing():
    laps = []
    work, samples = PythonWork(lambda lap: (laps.append(lap), lap())), StageSamples(6, 1)
    closed_loop(work, samples, deadline_ns=FOREVER_NS, most=2)
    before = samples.to_array()
    for lap in laps:
        lap()
    np.testing.assert_array_equal(samples.to_array(), before)
    assert len(set(map(id, laps))) == 1
    closed_loop(work, samples, deadline_ns=FOREVER_NS)
    assert len(samples) == 6
    # Neither the table nor the work is needed by a lap that someone kept.
    del work, samples
    gc.collect()
    laps[0]()


@pytest.mark.parametrize("laps", [0, 1, 3])
def test_requests_with_a_stage_missing_or_too_many_have_no_row(laps):
    samples = StageSamples(9, 2)
    work = PythonWork(lambda lap: [lap() for _ in range(laps)])
    assert closed_loop(work, samples, deadline_ns=FOREVER_NS, most=5) == "count"
    assert len(samples) == 0


def test_a_loop_leaves_the_interpreter_to_others():
    ran, samples = threading.Event(), StageSamples(10_000_000, 1)
    halt = Halt()

    def other():
        ran.set()
        halt.ask()

    threading.Thread(target=other, daemon=True).start()
    assert within(120, lambda: closed_loop(SpinWork(1000), samples, deadline_ns=FOREVER_NS, halt=halt)) == "asked"
    assert ran.is_set()


INTERRUPTED_IN_ANOTHER_THREAD = """
import os, signal, threading
from seatrial._native.timing import *
halt, samples, how = Halt(), StageSamples(10_000_000, 1), []
loop = lambda: how.append(closed_loop(SpinWork(1000), samples, deadline_ns=(1 << 63) - 1, halt=halt))
thread = threading.Thread(target=loop)
thread.start()
try:
    while not len(samples): pass
    os.kill(os.getpid(), signal.SIGINT)
    thread.join()
except KeyboardInterrupt:
    halt.ask()
    thread.join()
    print(how, len(samples) > 0, len(samples.to_array()) == len(samples))
"""
INTERRUPTED_IN_THE_LOOP = """
import os, signal, threading
from seatrial._native.timing import *
halt, samples = Halt(), StageSamples(10_000_000, 1)
def interrupt():
    while not len(samples): pass
    os.kill(os.getpid(), signal.SIGINT)
    halt.ask()
threading.Thread(target=interrupt).start()
try:
    closed_loop(SpinWork(1000), samples, deadline_ns=(1 << 63) - 1, halt=halt)
    while True: pass
except KeyboardInterrupt:
    # Raised where the loop came back, before its answer could be kept.
    print(["asked"] if halt.asked else "", len(samples) > 0, len(samples.to_array()) == len(samples))
"""


@pytest.mark.parametrize("code", [INTERRUPTED_IN_ANOTHER_THREAD, INTERRUPTED_IN_THE_LOOP])
def test_an_interrupted_loop_is_halted_and_keeps_its_rows(code):
    run = ran([sys.executable, "-c", code])
    assert (run.stdout, run.returncode) == ("['asked'] True True\n", 0), run.stderr


# ---- What a loop costs in memory ----

NATIVE_WORK = {
    "spin": lambda: SpinWork(),
    "mix": lambda: MixWork([SpinWork(), SpinWork()], [0, 1, 1]),
}


@pytest.mark.parametrize("kind", NATIVE_WORK)
@pytest.mark.parametrize("loop", ["closed", "clients", "open"])
def test_native_work_allocates_no_python_objects(kind, loop):
    """The peak of what Python allocated does not grow with the number of requests."""

    def peak(count):
        samples = StageSamples(count, 2 if loop == "open" else 1)
        work, arrivals = NATIVE_WORK[kind](), np.zeros(count, np.int64)
        tracemalloc.start()
        try:
            if loop == "closed":
                closed_loop(work, samples, deadline_ns=FOREVER_NS)
            elif loop == "clients":
                closed_loops([work], [samples], deadline_ns=FOREVER_NS)
            else:
                open_loop([work], [samples], arrivals, first_ns=0, deadline_ns=FOREVER_NS)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    # The check of the arrivals, before the loop, takes a byte for each; any object in a request would be sixteen or more.
    check = 2 * 20_000 if loop == "open" else 0
    assert peak(20_000) <= peak(100) + 1000 + check


MALLINFO = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keep")


class MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO]


def in_use():
    """Bytes that malloc has given out."""
    call = ctypes.CDLL(None).mallinfo2
    call.restype = MallInfo
    gc.collect()
    return call().used


def mapped():
    """Address space of this process in bytes, and its threads: a thread that is not joined keeps its stack."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmSize"].split()[0]) * 1024, int(status["Threads"])


def refused():
    with pytest.raises(TypeError):
        closed_loops([SpinWork(), 3], [StageSamples(1, 1), StageSamples(1, 1)], deadline_ns=FOREVER_NS)


def failing():
    with pytest.raises(RuntimeError):
        closed_loops(
            [SpinWork(fail_at=1), SpinWork()], [StageSamples(3, 1), StageSamples(3, 1)], deadline_ns=FOREVER_NS, most=3
        )


CYCLES = {
    "closed": lambda: closed_loops(
        [SpinWork() for _ in range(3)], [StageSamples(3, 1) for _ in range(3)], deadline_ns=FOREVER_NS
    ),
    "open": lambda: served([0] * 6, [SpinWork() for _ in range(3)], first_ns=0),
    "python": lambda: closed_loops(
        [PythonWork(lambda lap: lap()) for _ in range(3)],
        [StageSamples(3, 1) for _ in range(3)],
        deadline_ns=FOREVER_NS,
    ),
    "mix": lambda: closed_loop(MixWork([SpinWork()] * 9, [0]), StageSamples(3, 1), deadline_ns=FOREVER_NS),
    "failing": failing,
    "refused": refused,
}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc")
@pytest.mark.parametrize("cycle", CYCLES)
def test_many_starts_and_ends_leak_nothing(cycle):
    for _ in range(100):
        CYCLES[cycle]()
    used, (space, threads) = in_use(), mapped()
    for _ in range(400):
        CYCLES[cycle]()
    # 400 leaks of the smallest block would be 12 KB; 400 stacks 3 GB.
    assert in_use() - used < 10_000
    assert mapped()[0] - space < 500 << 20
    assert mapped()[1] == threads
