"""NVML through nvidia-ml-py's real code: against a simulated library, against NVIDIA's own without a device, and without any."""

import os
import signal
import sys

import pytest
from extras import extra
from simulated_nvml import SimulatedNvml, build_nvml

from seatrial.errors import UsageError
from seatrial.loads.clock_lock import held_clocks
from seatrial.machine.gpu_clocks import locked_clocks
from seatrial.machine.nvml import CLOCK_REASONS, Device, NvmlUnavailableError, gpu_facts, reasons_said, words_of
from seatrial.runtimes.choice import BackendChoice

SAY = "from dataclasses import asdict; from seatrial.machine.nvml import *; import json\n"


def test_without_the_package_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_facts() == ((), "nvidia-ml-py is not installed; pip install nvidia-ml-py")


def test_clock_reasons_in_words():
    assert reasons_said(0) == ()
    assert reasons_said(0x4 | 0x40) == ("the power cap", "heat, by the hardware")
    assert reasons_said(0x1 | 0x4, slowing=True) == ("the power cap",)
    # A bit of a later driver is named, not dropped: it may slow.
    assert reasons_said(1 << 20, slowing=True) == ("a reason that is not known here (0x100000)",)
    assert len(reasons_said(sum(CLOCK_REASONS))) == len(CLOCK_REASONS)


def test_an_unknown_error_keeps_its_own_words():
    class Odd(Exception):
        value = 77

    assert words_of(Odd("what?")) == "what?"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    extra("pynvml")
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def gpu(library, tmp_path):
    return SimulatedNvml(library, tmp_path)


@pytest.mark.extra
class TestSimulated:
    def test_the_facts_of_a_gpu(self, gpu):
        gpu.script({"mig.error": 3, "persistence": 0, "clock": 1200, "power_limit_mw": 250500})
        said = gpu.run(SAY + "(g,), why = gpu_facts(); print(asdict(g), repr(why))")
        for words in (
            "'name': 'NVIDIA Test'", "'driver': '580.65.06'", "'uuid': 'GPU-00000000-0000'", "'memory_bytes': 17179869184",
            "'persistence': False", "'ecc': True", "'mig': None", "'power_limit_w': 250.5", "'sm_clock_mhz': 1200",
            "'missing': {'mig': 'Not Supported: this GPU, container or MIG instance does not tell it'}", "''",
        ):  # fmt: skip
            assert words in said
        # What was opened is closed.
        assert gpu.calls == ["init 0 0", "shutdown 0 0"]

    def test_each_refused_fact_is_absent_with_its_reason_and_never_zero(self, gpu):
        refused = {
            "clock": 3,
            "memory_clock": 3,
            "reasons": 4,
            "power_mw": 5000,
            "celsius": 3,
            "energy": 3,
            "memory": 15,
        }
        gpu.script({f"{k}.error": v for k, v in refused.items()})
        said = gpu.run(
            SAY + "with Nvml() as n:\n d = n.used_device({}); print(set(asdict(d.read()).values())); print(d.missing)"
        )
        readings, missing = said.splitlines()
        assert readings == "{None}"
        assert "'clock_reasons': \"Insufficient Permissions: the user has no right to" in missing
        assert "'power_mw': 'scripted error'" in missing
        assert "'memory_used_bytes': 'GPU is lost: the GPU fell off its bus" in missing

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ({"init.error": 9}, "NVML: Driver Not Loaded; load the kernel module"),
            ({"init.error": 18}, "restart the machine"),
            ({"count.error": 5000}, "NVML: scripted error; see nvidia-smi"),
        ],
    )
    def test_why_there_is_none(self, gpu, script, words):
        gpu.script(script)
        assert words in gpu.run(SAY + "print(gpu_facts())")

    def test_an_older_driver_calls_the_clock_reasons_otherwise(self, tmp_path):
        old = SimulatedNvml(build_nvml(tmp_path / "old", old_driver=True), tmp_path)
        old.script({"reasons": 4})
        said = old.run(SAY + "with Nvml() as n:\n print(n.used_device({}).read().clock_reasons)")
        assert said == "4\n"

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({}, "0"),
            ({"CUDA_VISIBLE_DEVICES": "1"}, "1"),
            ({"CUDA_VISIBLE_DEVICES": "GPU-00000002"}, "2"),
            ({"CUDA_VISIBLE_DEVICES": "2,0"}, "2"),
            ({"CUDA_VISIBLE_DEVICES": ""}, "no whole GPU is '' of CUDA_VISIBLE_DEVICES="),
            ({"CUDA_VISIBLE_DEVICES": "MIG-1234"}, "no whole GPU is 'MIG-1234' of CUDA_VISIBLE_DEVICES=MIG-1234"),
            ({"CUDA_VISIBLE_DEVICES": "7"}, "no whole GPU"),
        ],
    )
    def test_which_gpu_is_used(self, gpu, variables, said):
        gpu.script({"count": 3})
        code = f"with Nvml() as n:\n try: print(n.used_device({variables!r}).index)\n except NvmlUnavailableError as e: print(e)"
        assert gpu.run(SAY + code).startswith(said)

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({}, "1"),
            ({"CUDA_VISIBLE_DEVICES": "2,0"}, "0"),
            ({"CUDA_VISIBLE_DEVICES": "GPU-00000001, GPU-00000002"}, "2"),
            ({"CUDA_VISIBLE_DEVICES": "2"}, "CUDA_VISIBLE_DEVICES=2 shows no device 1; name one"),
            ({"CUDA_VISIBLE_DEVICES": "0,7"}, "no whole GPU is '7' of CUDA_VISIBLE_DEVICES=0,7"),
        ],
    )
    def test_which_gpu_is_device_1(self, gpu, variables, said):
        gpu.script({"count": 3})
        code = f"with Nvml() as n:\n try: print(n.used_device({variables!r}, 1).index)\n except NvmlUnavailableError as e: print(e)"
        assert gpu.run(SAY + code).startswith(said)

    def test_the_watch_reads_the_gpu_that_the_backend_runs_on(self, gpu):
        """device_id: 1 of the options; figures of card 0 would be another's."""
        gpu.script({"count": 2, "clock1": 900})
        code = (
            "import os; from seatrial.noise.watch import NoiseWatch\n"
            "from seatrial.runtimes.choice import BackendChoice\n"
            "for options in ({}, {'device_id': 1}, {'device_id': 2}):\n"
            " gpu = BackendChoice('onnxruntime-cuda', options=options).device_ordinal\n"
            " with NoiseWatch(os.getpid(), gpu=gpu) as w: pass\n"
            " c = w.report().timeline.column('gpu_clock_mhz'); print(None if c is None else int(c[-1]))"
        )
        assert gpu.run(code) == "1980\n900\nNone\n"

    def test_unlike_gpus_are_not_guessed(self, gpu):
        gpu.script({"count": 2, "name0": "NVIDIA A", "name1": "NVIDIA B"})
        code = "with Nvml() as n:\n try: print(n.used_device({}).index)\n except NvmlUnavailableError as e: print(e)\n"
        assert "by speed, NVML by their place on the bus" in gpu.run(SAY + code)
        order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        assert gpu.run(SAY + f"with Nvml() as n:\n print(n.used_device({order!r}).index)") == "0\n"

    def test_the_watch_reads_it(self, gpu):
        gpu.script({"time": 12.34, "power_mw": 250000, "reasons": 4})
        code = (
            "import os; from seatrial.noise.watch import NoiseWatch\n"
            "with NoiseWatch(os.getpid()) as w: pass\n"
            "t = w.report().timeline\n"
            "print([int(t.column(c)[-1]) for c in ('gpu_clock_mhz', 'gpu_energy_mj', 'gpu_clock_reasons', 'gpu_celsius')])"
        )
        # The counter moves every tenth of a second: 12.3 s at 250 W.
        assert gpu.run(code) == "[1980, 3075000, 4, 55]\n"

    def test_the_environment_and_doctor_name_it(self, gpu):
        gpu.script({"persistence": 0, "mig.error": 3})
        code = (
            "import io; from rich.console import Console; from seatrial.machine.environment import environment\n"
            "from seatrial.report.machine_text import print_machine\n"
            "f = environment(); print([d['code'] for d in f['disturbances']]); t = io.StringIO()\n"
            "print_machine(Console(file=t, width=200), f, []); print(t.getvalue())"
        )
        said = gpu.run(code)
        assert "gpu-persistence" in said
        assert (
            "GPU: NVIDIA Test, driver 580.65.06, 1980 of 1980 MHz, 16.0 GiB, power limit 300 W, persistence mode off, ECC on\n"
            in said
        )


LOCK = """
import os, signal, sys
# Whoever started the tests may have had them ignored: nohup does, and `&` in a script.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
from seatrial.machine.gpu_clocks import locked_clocks
from seatrial.machine.nvml import Nvml
with Nvml() as n, locked_clocks(n.used_device({}), 1410) as lock:
    print(lock, flush=True)
"""


@pytest.mark.extra
class TestLock:
    def test_it_is_held_inside_the_block_alone(self, gpu):
        assert "held=True" in gpu.run(LOCK)
        assert [c for c in gpu.calls if "lock" in c] == ["lock 1410 1410", "unlock 0 0"]

    def test_without_permission_nothing_is_changed(self, gpu):
        gpu.script({"lock.error": 4})
        assert 'held=False, why="Insufficient Permissions: the user has no right to' in gpu.run(LOCK)
        assert not [c for c in gpu.calls if "lock" in c]

    def test_clocks_that_somebody_has_set_stay_so(self, gpu):
        gpu.script({"reasons": 2})
        assert "held=False, why='the clocks are set already" in gpu.run(LOCK)
        assert not [c for c in gpu.calls if "lock" in c]

    def test_a_clock_that_is_lower_without_a_reason_is_somebodys(self, gpu):
        """What nvidia-smi --lock-gpu-clocks leaves: NVML tells nothing of it."""
        gpu.script({"clock": 1410, "max_clock": 1980, "reasons": 0})
        assert "held=False, why='the clock is at 1410 of 1980 MHz and the driver names no reason" in gpu.run(LOCK)
        assert not [c for c in gpu.calls if "lock" in c]

    def test_what_nobody_can_know_is_said(self, gpu):
        gpu.script({"clock": 345, "reasons": 1})
        assert "note='NVML does not tell a lock that was set before" in gpu.run(LOCK)

    @pytest.mark.parametrize(
        ("asked", "script", "said", "calls"),
        [
            ("1410", {}, "were held at 1410 MHz while this was measured; NVML does not tell", ["lock 1410 1410", "unlock 0 0"]),
            ("base", {}, "were held at 1395 MHz", ["lock 1395 1395", "unlock 0 0"]),
            ("base", {"base_clock.error": 3}, "not held at base, and only observed: its base clock is not told (", []),
            ("1410", {"lock.error": 4}, "not held at 1410 MHz, and only observed: Insufficient Permissions", []),
            ("1410", {"init.error": 9}, "not held at 1410, and only observed: NVML: Driver Not Loaded", []),
        ],
    )  # fmt: skip
    def test_a_bench_holds_them_where_it_may_and_says_where_not(self, gpu, asked, script, said, calls):
        gpu.script(script)
        code = (
            "from seatrial.loads.clock_lock import held_clocks; from seatrial.runtimes.choice import BackendChoice\n"
            f"with held_clocks({asked!r}, BackendChoice('tensorrt')) as word: print(word.code, word.text)"
        )
        assert said in gpu.run(code)
        assert [c for c in gpu.calls if "lock" in c] == calls

    @pytest.mark.parametrize(("end", "code"), [("pass", 0), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM)])
    def test_a_block_within_another_gives_its_clock_back(self, gpu, end, code):
        within = f"    with locked_clocks(n.used_device({{}}), 1200) as inner: print(inner); {end}\n"
        process = gpu.start(LOCK + within)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == code
        assert out.count("held=True") == 2 or code
        restored = [] if code else ["lock 1410 1410"]
        assert [c for c in gpu.calls if "lock" in c] == ["lock 1410 1410", "lock 1200 1200", *restored, "unlock 0 0"]

    @pytest.mark.parametrize(
        ("end", "code"),
        [
            ("raise ValueError('x')", 1),
            ("sys.exit(3)", 3),
            ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
            ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
            ("os.kill(os.getpid(), signal.SIGHUP)", -signal.SIGHUP),
        ],
    )
    def test_it_is_let_go_however_the_process_ends(self, gpu, end, code):
        process = gpu.start(LOCK + f"    {end}\n")
        process.communicate(timeout=60)
        assert process.returncode == code
        assert [c for c in gpu.calls if "lock" in c] == ["lock 1410 1410", "unlock 0 0"]

    def test_an_ignored_signal_stays_ignored(self, gpu):
        code = LOCK.replace("with Nvml", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nwith Nvml")
        assert gpu.run(code + "    os.kill(os.getpid(), signal.SIGHUP); print('goes on')\n").endswith("goes on\n")


@pytest.mark.extra
def test_nvidias_own_library_without_a_device(tmp_path):
    extra("pynvml")
    folder = os.environ.get("SEATRIAL_DRIVER_LIBRARIES")
    if not folder:
        pytest.skip("SEATRIAL_DRIVER_LIBRARIES names no folder with NVIDIA's own libnvidia-ml.so.1")
    real = SimulatedNvml(folder, tmp_path)
    assert "NVML: Driver Not Loaded; load the kernel module" in real.run(SAY + "print(gpu_facts())")


def test_the_error_is_no_error_of_a_users():
    error = NvmlUnavailableError("no driver", "install one")
    assert (str(error), error.reason, error.cure) == ("no driver; install one", "no driver", "install one")


@pytest.mark.parametrize(
    ("asked", "backend", "said"),
    [
        ("fast", "tensorrt", "expected MHz, such as 1410, or base, got 'fast'"),
        ("0", "tensorrt", "expected MHz"),
        ("1410", "onnxruntime-cpu", "onnxruntime-cpu runs on no GPU of NVIDIA's"),
        ("1410", "openvino-gpu", "openvino-gpu runs on no GPU of NVIDIA's"),
    ],
)
def test_what_cannot_be_held_is_told_at_once(asked, backend, said):
    with pytest.raises(UsageError, match=said), held_clocks(asked, BackendChoice(backend)):
        pass


class LibraryOfLocks:
    """Whose first `refusals` unlocks are refused, or broken into by Ctrl-C."""

    class NVMLError(Exception):
        value = 4

    NVML_CLOCK_SM = NVML_CLOCK_MEM = NVML_TEMPERATURE_GPU = 0

    def __init__(self, refusals, error):
        self.refusals, self.error, self.held = refusals, error, False

    def nvmlDeviceSetGpuLockedClocks(self, *_):
        self.held = True

    def nvmlDeviceResetGpuLockedClocks(self, *_):
        self.refusals -= 1
        if self.refusals >= 0:
            raise self.error
        self.held = False


def test_clocks_that_stay_held_are_said():
    library = LibraryOfLocks(9, LibraryOfLocks.NVMLError("Insufficient Permissions"))
    with (
        pytest.warns(RuntimeWarning, match="still held at 1410 MHz: Insufficient Permissions.*--reset-gpu-clocks"),
        locked_clocks(Device(library, 0, None), 1410),
    ):
        assert library.held


def test_ctrl_c_while_they_are_let_go_leaves_nothing_held():
    library = LibraryOfLocks(1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt), locked_clocks(Device(library, 0, None), 1410):
        pass
    assert not library.held
