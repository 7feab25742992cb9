"""ae doctor: what it says of a machine, what would stop ae there, and that it works where little else does."""

import errno
import json
import os
import pty
import re
import select
import shutil
import site
import subprocess
import sys
import time
import venv
from pathlib import Path, PurePosixPath

import pytest

from aecli import __version__
from aecli.core.system.mounts import Mount
from aecli.training.doctor import facts as doctor
from tests.conftest import ROOT, Ae, Shared

AE = [sys.executable, "-P", "-m", "aecli", "doctor"]
FACTS = ["versions", "system", "threads", "memory", "locks", "disk", "cache", "devices"]


def doctor_in(folder: str | Path = ".", *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, in this folder and with these environment variables."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
    return subprocess.run([*AE, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_says_everything_in_lines_and_as_json(ae: Ae) -> None:
    done, values = ae("doctor", "--quick"), json.loads(ae("doctor", "--quick", "--json").stdout)
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == FACTS == [*values][1:-1]
    assert (values["ok"], values["problems"]) == (True, [])
    for name, package in {"aecli": __version__, "python": sys.version.split()[0]}.items():
        assert values["versions"][name] == package
    for name in ("numpy", "pillow", "onnxruntime", "keras", "tensorflow"):
        assert f"{name} {values['versions'][name]}" in done.stdout
    assert (
        f"extra 'gpu': {'not installed' if not any(values['versions']['extras']['gpu'].values()) else ''}"
        in done.stdout
    )
    for kind, name in {"HEIC": "pillow-heif", "JPEG XL": "pillow-jxl-plugin"}.items():
        assert f"; {kind}: {name} {values['versions']['plugins'][name] or 'not installed'}" in done.stdout
    assert f"work in {Path.cwd()}" in done.stdout
    assert values["locks"]["work"]
    assert values["disk"] | {"free": 0} == {"folder": str(Path.cwd()), "free": 0, "writable": True, "why": None}
    assert list(Path().iterdir()) == []


def test_in_the_end_it_asks_what_trains() -> None:
    Path("numpy.py").write_text("raise SystemExit('a file of the user')")
    done = doctor_in(".", "--json", CUDA_VISIBLE_DEVICES="", PATH="")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["devices"]
    assert (values["devices"], values["gpus"], values["CUDA_VISIBLE_DEVICES"]) == (["cpu"], [], "")


def test_what_limits_threads_and_memory_is_named(ae: Ae, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    done = ae("doctor", "--quick").stdout
    assert "threads   1 of 64 cores: SLURM_CPUS_PER_TASK; ae compare trains in 1 process\n" in done
    assert ": SLURM_MEM_PER_NODE; a quarter" in done
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert (
        "threads   8 of 64 cores: OMP_NUM_THREADS; ae compare trains in 1 process of about 0.9 GB\n"
        in ae("doctor", "--quick").stdout
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "100")
    assert json.loads(ae("doctor", "--quick", "--json").stdout)["threads"] == {
        "threads": 100,
        "cores": 64,
        "why": None,
        "workers": 1,
    }


# -- what would stop ae --------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_a_problem_with_a_cure() -> None:
    if not Path("/sys/kernel").is_dir():
        pytest.skip("needs /sys, where not even root may make a file")
    for arguments in ([], ["--json"]):
        done = doctor_in("/sys/kernel", "--quick", *arguments)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.startswith("ae: /sys/kernel: cannot be written (")
        assert line.endswith("): change to another folder, or give --run or --output elsewhere")
    values = json.loads(done.stdout)
    assert not values["ok"]
    assert f"ae: {values['problems'][0]}" == line
    assert not values["disk"]["writable"]
    assert values["locks"]["work"] is None


def test_a_folder_that_is_gone_is_a_problem_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = f"import os; os.rmdir(os.getcwd()); os.execv({sys.executable!r}, {[*AE, '--quick']!r})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="gone", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(": change to one that is there")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"AE_CACHE_GB": "much"}, "AE_CACHE_GB: expected a number of gigabytes"),
        ({"XDG_CACHE_HOME": "/sys/kernel"}, "cache /sys/kernel/ae: cannot be written (Permission denied): set XDG_CACHE_HOME"),
        ({"XDG_CACHE_HOME": "{cwd}/file"}, "cache {cwd}/file/ae: cannot be written ("),
    ],
)  # fmt: skip
def test_a_cache_that_cannot_be_used_is_a_problem_with_a_cure(variables: dict[str, str], message: str) -> None:
    Path("file").touch()
    done = doctor_in(".", "--quick", **{name: value.format(cwd=Path.cwd()) for name, value in variables.items()})
    assert done.returncode == 1, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith(f"ae: {message.format(cwd=Path.cwd())}")


def test_without_a_home_it_says_what_the_cache_needs() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    code = (
        "import pwd, sys; pwd.getpwuid = lambda _: {}[0]; sys.argv = ['ae', 'doctor', '--quick']\n"
        "from aecli.cli.main import main; main()"
    )  # a user that no file knows, as in containers
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr == "ae: cache: there is no home folder: set XDG_CACHE_HOME to a folder\n"
    assert len(done.stdout.splitlines()) == len(FACTS)


# -- locks ---------------------------------------------------------------------------------------

IN_PROCESS = "from aecli.cli.main import cli; cli({})"


def test_a_file_system_without_locks_is_a_remark(shared: Shared) -> None:
    (Path(os.environ["XDG_CACHE_HOME"]) / "ae").mkdir()
    done = shared(IN_PROCESS.format(["doctor", "--quick"]), FLOCK_ERROR=str(errno.ENOSYS))
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["locks"].startswith(f"locks     none in {Path.cwd()} (")
    assert lines["locks"].endswith(
        "): Function not implemented: start one ae at a time there, or give --run or --output on a disk with locks"
    )
    assert lines["cache"].endswith(
        "no locks (Function not implemented), so nothing is ever removed: set XDG_CACHE_HOME to a disk of this machine"
    )


def test_what_a_cache_without_locks_keeps_is_not_said_to_be_in_use(shared: Shared) -> None:
    entry = Path(os.environ["XDG_CACHE_HOME"]) / "ae" / "entry"
    entry.mkdir(parents=True)
    (entry / "lock").touch()
    done = shared(IN_PROCESS.format(["cache", "clear"]), FLOCK_ERROR=str(errno.ENOSYS))
    assert (
        "1 stay, since without locks (Function not implemented) nobody can tell whether they are in use: remove"
        in done.stdout
    )
    assert "1 in use stay" not in done.stdout
    assert entry.is_dir()


def test_locks_that_hold_on_one_machine_only_are_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    options = frozenset({"rw", "local_lock=all"})
    monkeypatch.setattr(
        doctor, "mount_of", lambda folder: Mount(PurePosixPath("/"), PurePosixPath("/"), "nfs", options)
    )
    fact = doctor._locks(Path.cwd())
    assert fact.text == (
        f"work in {Path.cwd()} (nfs), between processes of this machine only (local_lock=all): train there from one machine"
    )
    assert fact.remark
    assert not fact.problems
    assert fact.values["between_machines"] is False


# -- packages ------------------------------------------------------------------------------------


@pytest.fixture
def packages() -> Path:
    """The packages of an environment, links to all of those here, from which some can be taken away."""
    venv.create("environment", symlinks=True)
    [folder] = Path("environment").absolute().glob("lib/python*/site-packages")
    for place in site.getsitepackages():
        for path in Path(place).iterdir():
            if not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


def with_packages(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = ["environment/bin/python", "-m", "aecli", "doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def remove(folder: Path, *names: str) -> None:
    for path in folder.iterdir():
        if any(path.name == name or path.name.startswith(f"{name}-") for name in names):
            path.unlink()


def test_what_trains_need_not_be_installed(packages: Path) -> None:
    remove(packages, "tensorflow", "keras")
    done = with_packages()
    assert (done.returncode, done.stderr) == (0, "")
    assert "keras not installed" in done.stdout
    assert "tensorflow not installed" in done.stdout
    assert (
        "TensorFlow is not installed: ae train and ae compare need it (pip install tensorflow), what uses a run does not"
        in done.stdout
    )


def test_a_package_that_is_missing_is_a_problem_with_a_cure(packages: Path) -> None:
    remove(packages, "numpy")
    done = with_packages()
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("ae: numpy: is not installed, and ae needs it: pip install 'numpy>=")
    assert second.startswith("ae: ae: cannot be imported (No module named 'numpy'): install it anew")


def test_a_package_that_is_too_old_is_a_problem_with_a_cure(packages: Path) -> None:
    [link] = packages.glob("numpy-*.dist-info")
    shutil.copytree(link.resolve(), packages / "numpy-1.9.3.dist-info")
    link.unlink()
    about = packages / "numpy-1.9.3.dist-info" / "METADATA"
    about.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.9.3\n")
    done = with_packages("--quick")
    assert done.returncode == 1
    assert done.stderr.startswith("ae: numpy: 1.9.3 is below 2.1, which ae needs: pip install 'numpy>=2.1'\n")


def test_what_trains_and_is_broken_is_a_problem(packages: Path) -> None:
    remove(packages, "tensorflow")
    (packages / "tensorflow").mkdir()
    (packages / "tensorflow" / "__init__.py").write_text("import os; os.kill(os.getpid(), 4)")
    done = with_packages()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ae: TensorFlow: cannot be loaded (it ends its process by SIGILL): ")


# -- the terminal --------------------------------------------------------------------------------


def seen(columns: int) -> str:
    """Return what a terminal so wide shows."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([*AE, "--quick"], env=environment, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 300
    while time.monotonic() < deadline and select.select([ours], [], [], 300)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    assert process.wait(300) == 0
    os.close(ours)
    return shown.decode()


def test_a_narrow_terminal_folds_each_fact_beside_its_name() -> None:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen(60))
    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").splitlines()]
    facts = [line for line in lines if line and not line.endswith("looking")]
    assert max(map(len, facts)) <= 60
    assert [line.split()[0] for line in facts if not line.startswith(" ")] == FACTS
    assert all(line.startswith(" " * 10) for line in facts if line.startswith(" "))


# -- GPUs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "remark"), [(None, True), ("", False)], ids=["TensorFlow sees none", "the user hides them"]
)
def test_gpus_that_what_trains_does_not_see_are_named(monkeypatch: pytest.MonkeyPatch, visible, remark) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(doctor, "nvidia_gpus", lambda: doctor.Gpus(("NVIDIA H100",), "550.54", "nvidia-smi"))
    monkeypatch.setattr(doctor.engine, "ask", lambda load: doctor.engine.Answer(("cpu",)))
    fact = doctor._devices(quick=False)
    assert fact.text.startswith("trains on cpu; NVIDIA H100 by nvidia-smi, driver 550.54")
    assert fact.remark is remark
    assert fact.text.endswith("TensorFlow sees none: install ae with the extra 'gpu'") is remark
