"""Shared pieces: real images, and one real run that the tests of its users read."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from aecli.cli.main import cli
from aecli.runs.config_file import load_config
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.artifacts import FULL
from aecli.training.trainer import train
from aecli.views.plots import draw_plots

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background: tests of Ctrl-C need it
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
DIGITS = ROOT / "data" / "digits.npy"
PLAIN = (
    "model.linear_path=none", "model.output_bias=zero", "model.latent_activation=null", "model.hidden=[]",
)  # fmt: skip
"""A network that begins with random weights alone, of two layers unless a test gives it more."""

SMALL = ("model.latent_dim=8", "model.hidden=[24]", "training.epochs=3", "training.batch_size=128")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of MNIST and Fashion-MNIST arrays; tests that need it skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the MNIST arrays in {SHARED}, which is not there")
    return SHARED


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    return np.load(DIGITS)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A complete run on the digits; read it, never write to it."""
    folder = tmp_path_factory.mktemp("trained") / "runs" / "small"
    return train(load_config(None, SMALL).config, folder, name="small", artifacts=(*FULL, draw_plots))


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A complete convolutional run on images of colours, which lie beside it as colour.npy; read it only."""
    folder = tmp_path_factory.mktemp("coloured")
    digits = np.load(DIGITS)[:300]
    np.save(folder / "colour.npy", np.stack([digits, digits[:, ::-1], digits[:, :, ::-1]], axis=-1))
    sets = (
        "model.family=conv", "model.channels=[4, 8]", "model.latent_dim=4", "model.upsampling=shuffle",
        "training.epochs=1", f"data.train={folder / 'colour.npy'}",
    )  # fmt: skip
    return train(load_config(None, sets).config, folder / "run", name="conv")


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy of the complete run under ./runs, in an otherwise empty working directory."""
    shutil.copytree(trained.path, tmp_path / "runs" / "small")
    return Run(tmp_path / "runs" / "small")


@pytest.fixture(autouse=True)
def _empty_working_directory(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def kept(run: Run) -> EpochRecord:
    """Return the record of the epoch whose weights a run kept."""
    [record] = [record for record in run.history if record.epoch == run.metrics["best_epoch"]]
    return record


@pytest.fixture
def disk() -> Iterator[Callable[[int], Path]]:
    """Make file systems of so many bytes, one in place of the other; skips where this user cannot mount any."""
    place = Path("disk").absolute()
    place.mkdir()

    def unmount() -> None:
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)

    def make(size: int) -> Path:
        unmount()
        options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if not shutil.which("mount") or subprocess.run(options, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a small tmpfs")
        return place

    yield make
    unmount()


Ae = Callable[..., Result]


@pytest.fixture
def ae() -> Ae:
    """Run a command line in this process."""
    return lambda *arguments: CliRunner().invoke(cli, [os.fsdecode(a) for a in arguments])


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def lock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """locks.c as a library; skips where there is no compiler, or no Linux to load it."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    path = tmp_path_factory.mktemp("locks") / "locks.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, ROOT / "tests" / "locks.c", "-ldl"], check=True)
    return path


Shared = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shared(lock_library: Path) -> Shared:
    """Run code in a process whose file system answers as the variables say; see locks.c."""

    def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LD_PRELOAD": str(lock_library), **variables}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
        )

    return run


CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install --group dev")
    if not CHROMIUM.is_file():
        pytest.skip(f"needs Debian's chromium: {CHROMIUM} is not there (apt-get install chromium)")
    with playwright.sync_playwright() as session:
        chromium = session.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()
