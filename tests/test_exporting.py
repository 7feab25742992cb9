"""The lines of docs/exporting.md reconstruct grey and colour images, in every program that they are for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.runs.model import load_model
from aecli.training.export.export import ExportOptions, export_run
from aecli.training.export.kinds import SUFFIXES
from tests.conftest import DIGITS, ROOT

PAGE = (ROOT / "docs" / "exporting.md").read_text()
BLOCKS = re.findall(r"\n## ([^\n]+)\n[^#]*?```(python|html)\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = {"ONNX Runtime": "onnxruntime", "OpenCV": "cv2", "LiteRT": "ai_edge_litert", "TensorFlow": "tensorflow"}
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}


def block(title):
    [found] = [text for name, _, text in BLOCKS if name == title]
    return found


def test_every_program_has_about_ten_lines():
    assert [name for name, _, _ in BLOCKS] == [*PROGRAMS, "A browser"]
    assert all(len(text.splitlines()) <= 14 for _, _, text in BLOCKS)


@pytest.fixture(scope="module", params=["grey", "colour"])
def exported(request, tmp_path_factory, trained, coloured):
    """A folder of every kind of file, and of images.npy; the run."""
    folder = tmp_path_factory.mktemp("exported")
    run = trained if request.param == "grey" else coloured
    images = np.load(DIGITS if request.param == "grey" else coloured.path.parent / "colour.npy")[:20]
    np.save(folder / "images.npy", images)
    for kind in SUFFIXES:
        export_run(run, ExportOptions(kind, ("autoencoder",), folder / "prelu_exported"))
    return folder, run, images


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_lines_reconstruct(exported, program, tmp_path):
    pytest.importorskip(PROGRAMS[program])
    folder, run, images = exported
    script = tmp_path / "block.py"
    script.write_text(f"{block(program)}np.save({str(tmp_path / 'made.npy')!r}, reconstructions)\n")
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = 255 * load_model(run).reconstruct(run.image_format.to_contract(images))
    np.testing.assert_allclose(np.load(tmp_path / "made.npy").reshape(wanted.shape), wanted, atol=2e-3)


@pytest.fixture(scope="module")
def onnxruntime_web(tmp_path_factory):
    """The folder of onnxruntime-web's files: that of ONNXRUNTIME_WEB, or what npm fetches."""
    if given := os.environ.get("ONNXRUNTIME_WEB"):
        return Path(given)
    version = re.search(r"onnxruntime-web@[0-9.]+", PAGE)[0]
    folder = tmp_path_factory.mktemp("web")
    npm = shutil.which("npm")
    fetch = [npm, "pack", version, "--fetch-retries=0", "--fetch-timeout=60000"]
    if npm is None or subprocess.run(fetch, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip(f"needs {version}: npm is not there, or does not reach it (ONNXRUNTIME_WEB names its dist folder)")
    [archive] = folder.glob("*.tgz")
    shutil.unpack_archive(archive, folder, filter="data")
    return folder / "package" / "dist"


@pytest.mark.long  # it fetches 33 MB
def test_the_page_reconstructs_in_a_browser(exported, onnxruntime_web, browser, tmp_path):
    folder, run, images = exported
    Image.fromarray(images[5]).save(tmp_path / "photo.png")
    (tmp_path / "page.html").write_text(
        block("A browser").replace("\n</script>", "\n  window.finished = true;\n</script>")
    )
    shutil.copy(folder / "prelu_exported" / "autoencoder.onnx", tmp_path)
    page, troubles = browser.new_page(), []
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def answer(route):
        name = route.request.url.rpartition("/")[2]
        of_cdn = route.request.url.startswith("https://cdn.jsdelivr.net/npm/onnxruntime-web@")
        file = (onnxruntime_web if of_cdn else tmp_path) / name
        kind = TYPES.get(file.suffix, "application/octet-stream")
        route.fulfill(path=file, headers={"content-type": kind, "access-control-allow-origin": "*"})

    page.route("**/*", answer)
    page.goto("http://ae.test/page.html")
    page.wait_for_function("window.finished", timeout=0)  # a busy machine takes its time
    assert troubles == []
    pixels = page.evaluate(
        "[...document.getElementById('made').getContext('2d').getImageData(0, 0, 8, 8).data]"
    )  # red, green, blue, opacity
    wanted = 255 * load_model(run).reconstruct(run.image_format.to_contract(images[5:6]))[0]
    shown = np.array(pixels).reshape(8, 8, 4)
    assert (shown[..., 3] == 255).all()
    assert np.abs(shown[..., :3] - np.clip(wanted, 0, 255)).max() <= 0.51
    page.close()
