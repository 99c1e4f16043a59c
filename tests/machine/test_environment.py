"""Facts about the machine, from the real one and from made-up trees; what they warn of; when the fingerprint changes."""

import json
import os
import platform
import subprocess
import sys

import pytest

from seatrial.machine import cgroups
from seatrial.machine import facts as machine
from seatrial.machine.disturbances import disturbances
from seatrial.machine.environment import (
    comparable_facts,
    environment,
    fingerprint,
    packages,
    peak_memory_bytes,
    usable_cores,
)

GIB = 1 << 30


def tree(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture(scope="module")
def calm():
    """The facts of this machine, with all that could disturb it put right."""
    return environment() | {
        "cores": 8, "load_1min": 0.0, "busy_cores": None, "governor": "performance", "turbo": "off", "smt": "off", "numa_nodes": 1,
        "virtual": False, "cgroup_cpu_limit": None, "cgroup_memory_limit_bytes": None, "on_battery": False,
        "memory_bytes": 16 * GIB, "memory_available_bytes": 8 * GIB, "swap_used_bytes": 0, "clock_source": "tsc",
    }  # fmt: skip


def test_the_environment_is_a_record():
    facts = environment()
    assert json.loads(json.dumps(facts))["cores"] == len(usable_cores()) >= 1
    assert facts["fingerprint"] == fingerprint()
    assert facts["packages"]["numpy"]
    assert 0 < facts["memory_available_bytes"] <= facts["memory_bytes"]
    assert peak_memory_bytes() > 10 << 20


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"load_1min": 7.9}, "other-load", "other work is running (load 7.9 on 8 cores)"),
        ({"load_1min": 7.9, "busy_cores": 6.5}, "other-load", "(load 7.9 on 8 cores, 6.5 of them busy)"),
        ({"governor": "powersave"}, "governor", "the CPU governor is 'powersave'"),
        ({"turbo": "on"}, "turbo", "turbo is on"),
        ({"smt": "on"}, "smt", "hyper-threading"),
        ({"numa_nodes": 2}, "numa", "2 NUMA nodes"),
        ({"clock_source": "hpet"}, "clock-source", "the clock source is 'hpet'"),
        ({"simd": "scalar"}, "simd", "SEATRIAL_SIMD="),
        ({"on_battery": True}, "battery", "battery"),
        ({"virtual": True}, "virtual-machine", "virtual machine"),
        ({"cores": 1}, "one-core", "one core"),
        ({"cgroup_cpu_limit": 1.5}, "cpu-limit", "a container limit of 1.5 CPUs"),
        ({"swap_used_bytes": 2 * GIB}, "swap", "2.0 GiB are swapped out"),
        ({"memory_available_bytes": GIB - 1}, "little-memory", "less than 1 GiB"),
    ],
)
def test_each_disturbance_is_told_once_with_its_cure(calm, change, code, words):
    if calm["simd"] == "scalar" and "simd" in change:
        pytest.skip("this machine has no faster level")
    assert disturbances(calm) == []
    (found,) = disturbances(calm | change)
    assert found.code == code
    assert words in found.text
    assert found.cure


@pytest.mark.parametrize(
    "change",
    [
        {"governor": "unknown", "turbo": "unknown", "smt": "unknown", "clock_source": "unknown", "numa_nodes": None},
        {"clock_source": "kvm-clock"},
        {"clock_source": "arch_sys_counter"},
        {"cgroup_cpu_limit": 8.0},
        {"swap_used_bytes": GIB},
        {"load_1min": None},
        {"load_1min": 7.9, "busy_cores": 0.4},
    ],
)
def test_what_is_unknown_or_harmless_is_no_disturbance(calm, change):
    assert disturbances(calm | change) == []


def test_a_full_container_is_told_to_raise_its_limit(calm):
    (found,) = disturbances(calm | {"memory_available_bytes": 5, "cgroup_memory_limit_bytes": GIB})
    assert found.cure == "raise the container's memory limit"


def test_an_empty_tree_is_no_error(tmp_path):
    assert machine.cpu_model(tmp_path)
    assert (machine.governor(0, tmp_path), machine.turbo(tmp_path), machine.smt(tmp_path)) == ("unknown",) * 3
    assert machine.frequency_range_mhz(0, tmp_path) is None
    assert machine.numa_nodes([0], tmp_path) is None
    assert machine.transparent_huge_pages(tmp_path) == machine.clock_source(tmp_path) == "unknown"
    assert machine.memory_info(tmp_path) == {}
    assert machine.container(tmp_path, {}) == "none"
    assert machine.gpus(tmp_path, path=str(tmp_path)) == ()
    assert not machine.is_virtual(tmp_path)
    assert cgroups.groups("cpu", root=tmp_path) == []
    assert cgroups.tightest_cpu_limit(tmp_path) is None
    assert cgroups.tightest_memory_limit_bytes(tmp_path) is None
    assert cgroups.least_memory_left_bytes(tmp_path) is None


def test_the_clock_policy_is_read(tmp_path):
    cpu = "sys/devices/system/cpu"
    root = tree(tmp_path, {
        f"{cpu}/cpu3/cpufreq/scaling_min_freq": "800000\n", f"{cpu}/cpu3/cpufreq/scaling_max_freq": "3600000\n",
        f"{cpu}/cpu3/cpufreq/scaling_governor": "powersave\n", f"{cpu}/smt/active": "1\n",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    })  # fmt: skip
    assert machine.frequency_range_mhz(3, root) == (800, 3600)
    assert machine.governor(3, root) == "powersave"
    assert machine.smt(root) == "on"
    assert machine.clock_source(root) == "hpet"
    assert machine.transparent_huge_pages(root) == "madvise"


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "0\n", "on"),
        ("intel_pstate/no_turbo", "1\n", "off"),
        ("cpufreq/boost", "1\n", "on"),
        ("cpufreq/boost", "0\n", "off"),
        ("cpufreq/boost", "", "unknown"),
    ],
)
def test_turbo_has_two_places(tmp_path, file, text, turbo):
    assert machine.turbo(tree(tmp_path, {f"sys/devices/system/cpu/{file}": text})) == turbo


@pytest.mark.parametrize(("cores", "nodes"), [({0, 1}, 1), ({3, 4}, 2), (set(range(12)), 2), ({99}, None)])
def test_only_the_nodes_of_these_cores_count(tmp_path, cores, nodes):
    folder = "sys/devices/system/node"
    tree(tmp_path, {f"{folder}/node0/cpulist": "0-3,8-9\n", f"{folder}/node1/cpulist": "4-7,10-11\n"})
    assert machine.numa_nodes(cores, tree(tmp_path, {f"{folder}/node2/cpulist": "\n"})) == nodes


@pytest.mark.parametrize(
    ("files", "variables", "kind"),
    [
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": ""}, {}, "podman"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"proc/1/cgroup": "0::/kubepods.slice/kubepods-pod1.slice\n"}, {}, "kubernetes"),
        ({"proc/1/cgroup": "4:memory:/docker/0123\n"}, {}, "docker"),
        ({"proc/1/cgroup": "0::/machine.slice/libpod-0123.scope\n"}, {}, "podman"),
        ({"proc/1/cgroup": "3:cpu:/lxc/web\n"}, {}, "lxc"),
        ({"proc/1/cgroup": "0::/init.scope\n", "proc/1/environ": "TERM=linux\0container=lxc\0"}, {}, "lxc"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {"HOME": "/root"}, "none"),
    ],
)
def test_a_container_is_known_by_its_marks(tmp_path, files, variables, kind):
    assert machine.container(tree(tmp_path, files), variables) == kind


V2 = {
    "proc/self/cgroup": "0::/user.slice/job.scope\n",
    "sys/fs/cgroup/cgroup.procs": "",
    "sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/user.slice/memory.max": f"{4 * GIB}\n",
    "sys/fs/cgroup/user.slice/memory.current": f"{3 * GIB}\n",
    "sys/fs/cgroup/user.slice/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}\n",
    "sys/fs/cgroup/user.slice/job.scope/cpu.max": "max 100000\n",
    "sys/fs/cgroup/user.slice/job.scope/memory.max": "max\n",
}
V1 = {
    "proc/self/cgroup": "4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/\n",
    "sys/fs/cgroup/cpu,cpuacct/cgroup.procs": "",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/cgroup.procs": "",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"cache 1\ninactive_file 1\ntotal_inactive_file {2 * GIB}\n",
}


@pytest.mark.parametrize("files", [V2, V1], ids=["v2, set on the parent", "v1, the host's path in a container"])
def test_limits_of_control_groups(tmp_path, files):
    root = tree(tmp_path, files)
    assert cgroups.tightest_cpu_limit(root) == 1.5
    assert cgroups.tightest_memory_limit_bytes(root) == 4 * GIB
    assert cgroups.least_memory_left_bytes(root) == 3 * GIB


@pytest.mark.parametrize(
    "files",
    [
        V2 | {"sys/fs/cgroup/user.slice/cpu.max": "max 100000\n", "sys/fs/cgroup/user.slice/memory.max": "max\n"},
        V1 | {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    ],
    ids=["v2", "v1"],
)  # fmt: skip
def test_no_limit_is_none(tmp_path, files):
    root = tree(tmp_path, files)
    assert cgroups.tightest_cpu_limit(root) is None
    assert cgroups.tightest_memory_limit_bytes(root) is None
    assert cgroups.least_memory_left_bytes(root) is None


def nvidia_smi(folder, script):
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return str(folder)


DRIVER = {
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nIRQ:   \t 153\n",
}


def test_gpus_by_nvidia_smi(tmp_path):
    path = nvidia_smi(
        tmp_path, 'echo "NVIDIA H200, 550.54.15, 345, 1980, 3201"; echo "Tesla M60, 550.54.15, [N/A], [N/A], 405"'
    )
    assert machine.gpus(tree(tmp_path, DRIVER), path=path) == (
        machine.Gpu("NVIDIA H200", "550.54.15", 345, 1980, 3201),
        machine.Gpu("Tesla M60", "550.54.15", None, None, 405),
    )


@pytest.mark.parametrize(
    "script", ["echo No devices were found; exit 6", "echo a, b, c, d, e; exit 9", "echo", "exec sleep 60"]
)
def test_gpus_by_the_drivers_files_where_nvidia_smi_fails(tmp_path, monkeypatch, script):
    monkeypatch.setattr(machine, "PATIENCE_S", 0.3)
    path = nvidia_smi(tmp_path, script)
    assert machine.gpus(tmp_path, path=path) == ()
    assert machine.gpus(tree(tmp_path, DRIVER), path=path) == (machine.Gpu("NVIDIA H200", "550.54.15"),)


def fingerprint_elsewhere(**variables):
    code = "from seatrial.machine.environment import fingerprint; print(fingerprint())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_fingerprint_is_the_same_in_every_process_and_under_load():
    assert fingerprint_elsewhere() == fingerprint_elsewhere(KUBERNETES_SERVICE_HOST="10.0.0.1") == fingerprint()


def test_fewer_cores_or_another_simd_level_are_another_machine():
    if environment()["simd"] != "scalar":
        assert fingerprint_elsewhere(SEATRIAL_SIMD="scalar") != fingerprint()
    cores = usable_cores()
    if len(cores) > 1:
        before = fingerprint()
        os.sched_setaffinity(0, cores[:1])
        try:
            assert fingerprint() != before
        finally:
            os.sched_setaffinity(0, cores)
        assert fingerprint() == before


@pytest.mark.parametrize("fact", ["governor", "turbo", "smt", "numa_nodes", "transparent_huge_pages"])
def test_a_changed_policy_is_another_machine(monkeypatch, fact):
    before = fingerprint()
    monkeypatch.setattr(machine, fact, lambda *_: "changed")
    assert comparable_facts()[fact] == "changed"
    assert fingerprint() != before


def test_another_gpu_driver_is_another_machine_and_another_clock_is_not(monkeypatch):
    seen = []
    for gpu in (machine.Gpu("H200", "550"), machine.Gpu("H200", "550", 345, 1980, 3201), machine.Gpu("H200", "560")):
        monkeypatch.setattr(machine, "gpus", lambda gpu=gpu: (gpu,))
        seen.append(fingerprint())
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(
    "name",
    [
        "opencv_python", "opencv_contrib_python", "opencv_contrib_python_headless", "pillow_simd", "onnxruntime_gpu",
        "onnxruntime_training", "ort_nightly", "openvino_nightly",
    ],
)  # fmt: skip
def test_whichever_distribution_of_a_module_is_here_is_in_the_fingerprint(tmp_path, monkeypatch, name):
    info = tmp_path / f"{name}-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 9.9.9\n")
    before = fingerprint()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packages()[name.replace("_", "-")] == "9.9.9"
    assert fingerprint() != before


def test_another_python_is_another_machine(monkeypatch):
    before = fingerprint()
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    assert comparable_facts()["python"] == f"{platform.python_implementation()} 3.99.0"
    assert fingerprint() != before


def test_packages_that_are_not_here_are_left_out():
    assert packages(("numpy", "no-such-package")).keys() == {"numpy"}
