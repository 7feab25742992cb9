"""Cores and memory: what a container, a job or a set of CPUs leaves of the machine's, from files as Linux has them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from aecli.core.machine import core_quota, cores, limits_note, memory_quota, memory_size, processes
from aecli.core.system.cgroups import cpu_limits, memory_limits

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = (
    "25 30 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "31 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 25 0:28 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory\n"
    "34 25 0:29 / /sys/fs/cgroup/systemd rw shared:17 - cgroup cgroup rw,xattr,name=systemd"
)
GB = 2**30
HERE, MEMORY = os.cpu_count() or 1, memory_quota(Path("nowhere")).machine
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


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no variable that says anything of cores or memory, unless a test sets it."""
    for name in (*os.environ,):
        if name.startswith("SLURM_") or name == "OMP_NUM_THREADS":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("own", "mounts", "files", "cpus", "memory"), SYSTEMS.values(), ids=SYSTEMS)
def test_the_lowest_limit_of_the_whole_path_holds(own, mounts, files, cpus, memory):
    root = system(own, mounts, files)
    lowest, name = min(cpu_limits(root), default=(None, ""))
    assert lowest == cpus
    limit, memory_name = min(memory_limits(root), default=(None, ""))
    assert (limit if limit is None or limit < 2**62 else None) == memory
    here = len(os.sched_getaffinity(0))
    assert cores(root) == min(here, {None: here, 0.5: 1, 1.5: 2}.get(cpus, cpus))
    assert memory_size(root) == min(MEMORY, memory or 2**62)
    if cores(root) < here:
        assert core_quota(root).why == f"the quota of the container or job ({name})"
        assert name == ("cpu.max" if any("cpu.max" in file for file in files) else "cpu.cfs_quota_us")
    if memory_size(root) < MEMORY:
        assert memory_quota(root).why == f"the limit of the container or job ({memory_name})"


def test_a_system_without_such_files_has_no_limits():
    assert cpu_limits(Path("nowhere")) == memory_limits(Path("nowhere")) == []
    assert cores(Path("nowhere")) == len(os.sched_getaffinity(0))
    assert memory_quota(Path("nowhere")).why == ""


def test_only_the_cpus_that_a_process_may_run_on_count():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); os.cpu_count = lambda: 64\n"
        "from pathlib import Path; from aecli.core.machine import core_quota; print(core_quota(Path('nowhere')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Quota(value=1, machine=64, why='the CPUs that this process may run on')\n"


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("64", 64)])
def test_what_the_user_asks_for_is_no_limit_of_ours(value, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cores(system("0::/", V2, {f"{C2}/cpu.max": "100000 100000"})) == expected


# -- Slurm ---------------------------------------------------------------------------------------


@pytest.fixture
def large(monkeypatch):
    """A machine of 64 cores and 256 GB."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 256 * 10**9 // 4096}[name])


SLURM = {
    "a task": ({"CPUS_PER_TASK": "8", "CPUS_ON_NODE": "32"}, 8, "SLURM_CPUS_PER_TASK", None, ""),
    "a job": ({"CPUS_ON_NODE": "32"}, 32, "SLURM_CPUS_ON_NODE", None, ""),
    "more than the machine has": ({"CPUS_PER_TASK": "128", "MEM_PER_NODE": "512000"}, 64, "", None, ""),
    "memory of the machine": ({"MEM_PER_NODE": "4096"}, 64, "", 4 * GB, "SLURM_MEM_PER_NODE"),
    "memory of a core": (
        {"MEM_PER_CPU": "2048", "CPUS_PER_TASK": "4", "CPUS_ON_NODE": "16"}, 4, "SLURM_CPUS_PER_TASK",
        32 * GB, "SLURM_MEM_PER_CPU",
    ),
    "memory of a core, of a task": ({"MEM_PER_CPU": "512", "CPUS_PER_TASK": "4"}, 4, "SLURM_CPUS_PER_TASK", 2 * GB, "SLURM_MEM_PER_CPU"),
    "all memory": ({"MEM_PER_NODE": "0"}, 64, "", None, ""),
    "nonsense": ({"CPUS_PER_TASK": "4(x2)", "CPUS_ON_NODE": "", "MEM_PER_NODE": "4G", "MEM_PER_CPU": "-1"}, 64, "", None, ""),
}  # fmt: skip


@pytest.mark.parametrize(("variables", "cpus", "cpus_why", "memory", "memory_why"), SLURM.values(), ids=SLURM)
def test_slurm_says_what_a_job_has(large, monkeypatch, variables, cpus, cpus_why, memory, memory_why):
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    root = Path("nowhere")
    assert (core_quota(root).value, core_quota(root).why) == (cpus, cpus_why)
    assert (memory_quota(root).value, memory_quota(root).why) == (memory or memory_quota(root).machine, memory_why)


def test_the_lowest_of_slurm_and_its_groups_holds(large, monkeypatch):
    root = system("0::/job", V2, {f"{C2}/job/cpu.max": "400000 100000", f"{C2}/job/memory.max": str(8 * GB)})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "16384")
    assert core_quota(root).why == "SLURM_CPUS_PER_TASK"
    assert memory_quota(root).why == "the limit of the container or job (memory.max)"
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    assert core_quota(root).why == "the quota of the container or job (cpu.max)"


# -- what the user is told -----------------------------------------------------------------------


def test_a_machine_without_limits_says_nothing(large):
    assert limits_note(root=system("0::/", V2, {f"{C2}/memory.max": str(256 * 10**9 - 1)}), memory=10**9) is None


def test_limits_are_said_in_one_line(large, monkeypatch):
    root = system("0::/", V2, {f"{C2}/cpu.max": "150000 100000", f"{C2}/memory.max": str(3 * 10**9)})
    assert limits_note(root=root) == (
        "2 of 64 cores: the quota of the container or job (cpu.max); "
        "3 GB of 256 GB of memory: the limit of the container or job (memory.max)"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert limits_note(root=Path("nowhere")) == "8 of 64 cores: OMP_NUM_THREADS"
    assert limits_note(threads_asked=True, root=Path("nowhere")) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "128")
    assert limits_note(root=Path("nowhere")) is None


@pytest.mark.parametrize(("memory", "workers"), [(10**9, 3), (2 * 10**9, 1), (5 * 10**9, 1), (10**6, 64)])
def test_workers_are_as_many_as_fit_into_the_memory(large, memory, workers):
    root = system("0::/", V2, {f"{C2}/memory.max": str(3 * 10**9)})
    assert processes(memory, root) == workers
    said = limits_note(memory=memory, root=root)
    assert (said or "").endswith(f"{workers} of 64 workers: 3 GB, about {memory // 10**9} GB each") == (workers < 64)
