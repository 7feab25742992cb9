"""Cores and memory: what a container, a job or a set of CPUs leaves of the machine's, from files as Linux has them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from aecli.core.cgroups import cpu_limit, memory_limit
from aecli.core.machine import cores, memory_size

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = (
    "25 30 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "31 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 25 0:28 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory\n"
    "34 25 0:29 / /sys/fs/cgroup/systemd rw shared:17 - cgroup cgroup rw,xattr,name=systemd"
)
GB = 2**30
NO_LIMIT = str(2**63 - 4096)


def system(own: str, mounts: str, files: Mapping[str, str]) -> Path:
    """Write the files of a system under ./system; return its root."""
    root = Path("system")
    for name, text in {"proc/self/cgroup": own, "proc/self/mountinfo": mounts, **files}.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


C2, CPU1, MEM1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"
JOB1 = "12:cpu,cpuacct:/slurm/job\n9:memory:/slurm/job/step\n1:name=systemd:/x\n0::/"
SYSTEMS: dict[str, tuple[str, str, dict[str, str], float | None, int | None]] = {
    "a machine without limits": ("0::/", V2, {}, None, None),
    "a container of 2 CPUs and 3 GB": ("0::/", V2, {f"{C2}/cpu.max": "200000 100000", f"{C2}/memory.max": f"{3 * GB}"}, 2, 3 * GB),
    "half a CPU": ("0::/", V2, {f"{C2}/cpu.max": "50000 100000"}, 0.5, None),
    "a period of its own": ("0::/", V2, {f"{C2}/cpu.max": "75000 50000"}, 1.5, None),
    "limits that are none": ("0::/a", V2, {f"{C2}/a/cpu.max": "max 100000", f"{C2}/a/memory.max": "max"}, None, None),
    "a limit above the own group": (
        "0::/kubepods/pod/me", V2,
        {
            f"{C2}/kubepods/cpu.max": "800000 100000", f"{C2}/kubepods/pod/cpu.max": "300000 100000",
            f"{C2}/kubepods/pod/me/cpu.max": "max 100000", f"{C2}/kubepods/memory.max": f"{2 * GB}",
            f"{C2}/kubepods/pod/memory.max": f"{5 * GB}",
        }, 3, 2 * GB,
    ),
    "a limit that slows": ("0::/a", V2, {f"{C2}/a/memory.high": f"{GB}", f"{C2}/a/memory.max": f"{2 * GB}"}, None, GB),
    "a job, version 1": (
        JOB1, V1,
        {
            f"{CPU1}/slurm/job/cpu.cfs_quota_us": "400000", f"{CPU1}/slurm/job/cpu.cfs_period_us": "100000",
            f"{CPU1}/slurm/cpu.cfs_quota_us": "-1", f"{CPU1}/slurm/cpu.cfs_period_us": "100000",
            f"{MEM1}/slurm/job/step/memory.limit_in_bytes": NO_LIMIT, f"{MEM1}/slurm/job/memory.limit_in_bytes": f"{4 * GB}",
            f"{MEM1}/memory.limit_in_bytes": NO_LIMIT,
        }, 4, 4 * GB,
    ),
    "docker, version 1: the path is the host's": (
        "12:cpu,cpuacct:/docker/abc\n9:memory:/docker/abc", V1.replace(" / /sys/fs/cgroup/", " /docker/abc /sys/fs/cgroup/"),
        {
            f"{CPU1}/cpu.cfs_quota_us": "150000", f"{CPU1}/cpu.cfs_period_us": "100000",
            f"{MEM1}/memory.limit_in_bytes": f"{GB}",
        }, 1.5, GB,
    ),
    "docker, version 1: a path that is not mounted": (
        "12:cpu,cpuacct:/docker/abc\n9:memory:/docker/abc", V1,
        {f"{CPU1}/cpu.cfs_quota_us": "100000", f"{CPU1}/cpu.cfs_period_us": "100000", f"{MEM1}/memory.limit_in_bytes": f"{GB}"},
        1, GB,
    ),
    "both versions at once": (
        "9:memory:/a\n0::/b", f"{V1}\n{V2.replace('/sys/fs/cgroup', '/sys/fs/cgroup/unified')}",
        {"sys/fs/cgroup/unified/b/cpu.max": "100000 100000", f"{MEM1}/a/memory.limit_in_bytes": f"{GB}"}, 1, GB,
    ),
    "mounted elsewhere, under a name with a space": (
        "0::/a", V2.replace("/sys/fs/cgroup", "/my\\040groups"), {"my groups/a/cpu.max": "100000 100000"}, 1, None,
    ),
    "a group outside of what is seen": ("0::/../../a", V2, {f"{C2}/cpu.max": "100000 100000"}, 1, None),
    "files of nonsense": (
        "\n:\n0:\n0::\n0::x\n0::/a", f"\n-\n1 2 3\n - cgroup2\n{V2}",
        {f"{C2}/a/cpu.max": "many", f"{C2}/cpu.max": "0 0", f"{C2}/a/memory.max": "", f"{C2}/memory.max": "-1"}, None, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("own", "mounts", "files", "cpus", "memory"), SYSTEMS.values(), ids=SYSTEMS)
def test_the_lowest_limit_of_the_whole_path_holds(own, mounts, files, cpus, memory, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    root = system(own, mounts, files)
    assert cpu_limit(root) == cpus
    limit = memory_limit(root)
    assert (limit if limit is None or limit < 2**62 else None) == memory
    here = len(os.sched_getaffinity(0))
    assert cores(root) == min(here, {None: here, 0.5: 1, 1.5: 2}.get(cpus, cpus))
    assert memory_size(root) == min(memory_size(Path("nowhere")), memory or 2**62)


def test_a_system_without_such_files_has_no_limits():
    assert cpu_limit(Path("nowhere")) is None
    assert memory_limit(Path("nowhere")) is None
    assert cores(Path("nowhere")) >= 1


def test_only_the_cpus_that_a_process_may_run_on_count():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); from aecli.core.machine import cores; print(cores())"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("64", 64)])
def test_what_the_user_asks_for_is_no_limit_of_ours(value, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cores(system("0::/", V2, {f"{C2}/cpu.max": "100000 100000"})) == expected
