"""ae compress: whole numbers come back exactly, in few bytes; what is no such file is one line."""

import json
import lzma
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import AeError, DataError
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model, weights_sha256
from aecli.runs.uses.codec import aez
from aecli.runs.uses.codec.aez import AezHeader, header_bytes, open_aez
from aecli.runs.uses.codec.beside import PcaCodec, picture_rows
from aecli.runs.uses.codec.compress import code_levels, in_blocks, least_that, sample_of, write_aez
from aecli.runs.uses.codec.integers import HEADER_BYTES, LARGEST, pack, unpack
from aecli.runs.uses.codec.rate import rate_curves
from aecli.runs.uses.codec.steps import Levels, Steps, exponents_for
from aecli.runs.uses.inputs import open_images_for
from aecli.training.artifacts import FULL
from aecli.training.trainer import train
from tests.conftest import DIGITS


@pytest.fixture(autouse=True)
def _jpeg_alone(monkeypatch):
    """Measure one kind of picture: each of them is written many times."""
    for place in ("beside", "rate"):
        monkeypatch.setattr(f"aecli.runs.uses.codec.{place}.can_encode", lambda codec: codec == "jpeg")


def through(values):
    packed = pack(values)
    return unpack(packed[:HEADER_BYTES], packed[HEADER_BYTES:], values.shape)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 7, 16, 17, 255, 256, 257, 65_536, 65_537, 2**24 + 1, 2**31])
@pytest.mark.parametrize("low", [0, -7, -(2**30)])
def test_whole_numbers_come_back_exactly(width, low):
    values = np.random.default_rng(0).integers(low, low + width, (31, 5))
    values[0, :2] = low, min(low + width - 1, LARGEST)
    np.testing.assert_array_equal(through(values), values)
    one = values[:1, :1]
    np.testing.assert_array_equal(through(one), one)


def test_numbers_beyond_32_bits_are_refused():
    with pytest.raises(ValueError, match="do not fit 32 bits"):
        pack(np.array([[2**31]]))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.25,) * 4, (0.7, 0.1, 0.1, 0.05, 0.05), (1 / 8,) * 8])
def test_the_bytes_are_near_the_entropy(shares):
    values = np.random.default_rng(0).choice(len(shares), (5_000, 8), p=shares)
    entropy = -sum(share * np.log2(share) for share in shares) * 8 / 8
    assert entropy <= len(pack(values)) / len(values) <= 1.1 * entropy + 0.02


def test_each_latent_has_its_own_distribution():
    # By column the spreads differ; mixed as rows the same numbers take more.
    rng = np.random.default_rng(0)
    spread = np.array([0.3, 3.0, 30.0, 0.3])
    values = np.rint(rng.normal(0, 1, (4_000, 4)) * spread).astype(np.int64)
    mixed = rng.permuted(values, axis=1)
    assert len(pack(values)) < 0.85 * len(pack(mixed))


WRITTEN = bytes.fromhex("d4feffff9d120100011c0000000dce66e1010017002e2c2b339c2b2c0001010201120102000000000001000000")
"""Eight numbers as they were written once."""


def test_what_was_written_once_is_read_on_every_machine():
    values = unpack(WRITTEN[:HEADER_BYTES], WRITTEN[HEADER_BYTES:], (4, 2))
    np.testing.assert_array_equal(values, [[-300, 7], [2, 70_000], [0, -1], [255, 256]])


def test_steps_are_halves_of_their_sizes_away_at_most():
    latents = np.random.default_rng(0).normal(0, 3, (50, 4)).astype(np.float32)
    steps = Steps(0.1, np.array([0, 4, -8, 3], np.int8))
    np.testing.assert_allclose(steps.sizes, 0.1 * 2 ** (np.array([0, 4, -8, 3]) / 4))
    back = steps.to_latents(steps.to_integers(latents))
    assert back.dtype == np.float32
    assert (np.abs(back - latents) <= steps.sizes / 2 * 1.0001).all()
    with pytest.raises(AeError, match="--step 1e-06: too small for latents"):
        Steps(1e-6, np.array([0] * 4, np.int8)).to_integers(latents * np.float32(1e6))


@pytest.mark.parametrize("levels", [2, 3, 5, 8, 256])
def test_levels_lose_nothing(levels):
    from aecli.models.code import QuantisedCode

    latents = QuantisedCode(levels=levels).nearest(np.random.default_rng(0).normal(0, 1, (99, 6))).astype(np.float32)
    numbers = Levels(levels).to_integers(latents)
    assert numbers.min() >= 0
    assert numbers.max() <= levels - 1
    np.testing.assert_allclose(Levels(levels).to_latents(numbers), latents, atol=3e-7)


def test_a_latent_that_moves_the_image_more_has_smaller_steps(trained, digits):
    model = load_model(trained)
    latents = model.encode(trained.image_format.to_contract(digits[:200]))
    exponents = exponents_for(model, latents)
    assert exponents.dtype == np.int8
    assert exponents.shape == (model.latent_dim,)
    # Neither one that is the same in all of these images, nor one that is nearly always 0, is lost.
    latents[:, 3], latents[:, 4] = 1.0, 0.0
    latents[7, 4] = 2.0
    steps = Steps(0.01, exponents_for(model, latents))
    back = steps.to_latents(steps.to_integers(latents))
    assert np.abs(back - latents).max() < 0.3


@pytest.mark.parametrize("count", [1, 3])
def test_images_that_are_all_the_same(ae, run, digits, count):
    np.save("same.npy", np.repeat(digits[:1], count, axis=0))
    content = json.loads(ae("compress", "same.npy", "--json").stdout)
    images = run.image_format.to_contract(digits[:1])
    restored = load_model(run).reconstruct(images).clip(0, 1)
    assert content["psnr"] == pytest.approx(-10 * np.log10(((images - restored) ** 2).mean()), abs=1)
    np.save("black.npy", np.zeros_like(digits[:count]))
    assert ae("compress", "black.npy", "--json").exit_code == 0


def test_rows_are_regrouped():
    rows = np.arange(50).reshape(25, 2)
    blocks = [*in_blocks([rows[:3], rows[3:17], rows[17:]], 6)]
    assert [len(block) for block in blocks] == [6, 6, 6, 6, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), rows)


@pytest.mark.parametrize("edge", [2e-6, 0.03, 0.05, 7.0, 900.0])
def test_the_least_number_is_found(edge):
    assert edge <= least_that(lambda x: x >= edge, 0.05) <= 1.006 * edge


def test_where_no_number_will_do_there_is_none():
    assert least_that(lambda _: False, 1.0) is None


# -- commands ------------------------------------------------------------------------------------


def test_there_and_back(ae, run, digits):
    done = ae("compress", str(DIGITS), "--step", "0.02")
    assert done.exit_code == 0, done.stderr
    size = Path("digits.aez").stat().st_size
    assert (
        f"{len(digits):,} images in {size:,} bytes, {size / len(digits):.2f} bytes an image, a step of 0.02"
        in done.stdout
    )
    assert size < 9 * len(digits)
    back = ae("decompress", "digits.aez")
    assert back.stdout == f"{len(digits):,} images: digits_images.npy\n"
    images = np.load("digits_images.npy")
    assert (images.shape, images.dtype) == (digits.shape, digits.dtype)
    model, source = load_model(run), open_images_for(run, DIGITS)
    [integers] = open_aez(Path("digits.aez")).blocks()
    steps = open_aez(Path("digits.aez")).header.quantiser
    latents = model.encode(source.format.to_contract(digits))
    np.testing.assert_array_equal(integers, steps.to_integers(latents))
    expected = run.image_format.from_contract(model.decode(steps.to_latents(integers)))
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1


def test_the_table_and_json(ae, run):
    table = ae("compress", str(DIGITS)).stdout.splitlines()
    assert table[0].split() == ["codec", "bytes/image", "psnr", "dB", "ae", "pays", "from"]
    assert [line.split("  ")[0] for line in table[1:3]] == ["small", "PCA-8, same bytes"]
    content = json.loads(ae("compress", str(DIGITS), "--json", "--quiet", "--overwrite").stdout)
    assert content["bytes"] == Path("digits.aez").stat().st_size
    assert content["bytes_per_image"] * content["images"] == pytest.approx(content["bytes"])
    assert content["pca"]["bytes_per_image"] <= content["bytes_per_image"]
    jpeg = next(row for row in content["others"] if row["title"] == "JPEG, one sheet of all")
    assert jpeg["psnr"] >= content["psnr"]
    saved = jpeg["bytes_per_image"] - content["bytes_per_image"]
    assert (jpeg["pays_from"] - 1) * saved < content["decoder_bytes"] <= jpeg["pays_from"] * saved
    assert content["others"][-1]["psnr"] is None


def test_by_default_a_quarter_of_a_decibel_is_lost(ae, run, digits):
    content = json.loads(ae("compress", str(DIGITS), "--json").stdout)
    model = load_model(run)
    images = run.image_format.to_contract(digits)[::2][: content["measured"]]
    restored = model.reconstruct(images).clip(0, 1)
    floats = float((-10 * np.log10(((images - restored) ** 2).mean(axis=(1, 2, 3)))).mean())
    assert content["psnr"] == pytest.approx(floats - 0.25, abs=0.1)


@pytest.mark.parametrize("most", [2.5, 4.0])
def test_so_many_bytes_are_not_exceeded(ae, run, digits, most):
    assert ae("compress", str(DIGITS), "--bytes", str(most)).exit_code == 0
    size = Path("digits.aez").stat().st_size / len(digits)
    assert 0.97 * most <= size <= most


def test_fewer_bytes_than_a_header(ae, run):
    done = ae("compress", str(DIGITS), "--bytes", "0.01")
    assert done.exit_code == 1
    assert re.search(r"ae: --bytes 0.01: the file of 1,797 images takes 0\.\d+ each: give more", done.stderr)
    assert not Path("digits.aez").exists()


def test_options_that_exclude_each_other(ae, run):
    assert ae("compress", str(DIGITS), "--bytes", "3", "--step", "1").exit_code == 2


def test_several_blocks(ae, run, digits, monkeypatch):
    ae("compress", str(DIGITS), "--step", "0.02", "--output", "one.aez")
    monkeypatch.setattr(aez, "MOST_VALUES", 8 * 100)
    monkeypatch.setattr("aecli.runs.uses.codec.compress._MOST_SEARCHED", 8 * 100)
    assert ae("compress", str(DIGITS), "--step", "0.02", "--output", "many.aez").exit_code == 0
    blocks = [*open_aez(Path("many.aez")).blocks()]
    assert [len(block) for block in blocks] == [100] * 17 + [97]
    assert ae("decompress", "many.aez").exit_code == 0
    assert np.load("many_images.npy").shape == digits.shape
    # Where few are searched, all are still in as many bytes as they may take.
    assert ae("compress", str(DIGITS), "--bytes", "4", "--output", "some.aez").exit_code == 0
    assert Path("some.aez").stat().st_size <= 4 * len(digits)


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    keys = ("model.code={quantised: {levels: 5}}", "model.latent_dim=8", "model.hidden=[24]", "training.epochs=2")
    return train(load_config(None, keys).config, tmp_path_factory.mktemp("levels") / "run", artifacts=FULL)


def test_a_quantised_run_loses_nothing(ae, quantised, digits):
    done = ae("compress", str(DIGITS), "--run", str(quantised.path))
    assert done.exit_code == 0, done.stderr
    assert "5 levels: digits.aez" in done.stdout
    assert Path("digits.aez").stat().st_size / len(digits) < 1.1 * 8 * np.log2(5) / 8
    model = load_model(quantised)
    latents = model.encode(quantised.image_format.to_contract(digits))
    [numbers] = open_aez(Path("digits.aez")).blocks()
    np.testing.assert_array_equal(numbers, np.rint((latents + 1) * 2))
    assert ae("decompress", "digits.aez", "--run", str(quantised.path)).exit_code == 0
    expected = quantised.image_format.from_contract(model.decode(latents))
    assert np.abs(np.load("digits_images.npy").astype(int) - expected.astype(int)).max() <= 1
    assert code_levels(quantised) == Levels(5)
    for option in ("--step", "--bytes"):
        refused = ae("compress", str(DIGITS), "--run", str(quantised.path), option, "1", "--overwrite")
        assert refused.exit_code == 1
        assert f"{option}: the code of {quantised.path} has 5 levels already: leave {option} out" in refused.stderr


def test_pca_is_what_the_baselines_reconstruct(trained, digits):
    images = trained.image_format.to_contract(digits[:50])
    codec = PcaCodec(trained.baselines)
    np.testing.assert_allclose(codec.decode(codec.encode(images)), trained.baselines.reconstruct_pca(images), atol=1e-5)


def test_images_that_no_picture_holds():
    [reason] = picture_rows(np.zeros((3, 8, 8, 4), np.float32), 20.0)
    assert reason == "JPEG, WebP and AVIF: not measured, they hold 1 or 3 channels, the images have 4"


def test_what_pillow_can_write_is_measured_and_the_rest_is_said(monkeypatch):
    from aecli.data.picture_codecs import PICTURE_CODECS, can_encode

    images = np.random.default_rng(0).random((3, 16, 16, 3)).astype(np.float32)
    assert [*picture_rows(images, 10.0)][2:] == [
        f"{title}: not measured, the Pillow installed cannot write it" for title in ("WebP", "AVIF")
    ]
    monkeypatch.setattr("aecli.runs.uses.codec.beside.can_encode", can_encode)
    rows = [*picture_rows(images, 10.0)]
    missing = [row for row in rows if isinstance(row, str)]
    assert len(rows) == 2 * len(PICTURE_CODECS) - len(missing)
    assert all(row.bytes > 10 for row in rows if row not in missing)


# -- files of strangers ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compressed(trained, tmp_path_factory):
    """A sound file of the shared run."""
    path = tmp_path_factory.mktemp("sound") / "good.aez"
    model, source = load_model(trained), open_images_for(trained, DIGITS)
    steps = Steps(0.02, exponents_for(model, sample_of(source, model).latents))
    assert write_aez(trained, model, source, steps, path) == path.stat().st_size
    return path.read_bytes()


def resealed(content, offset, packed):
    """A file whose header says something else, under the right checksum."""
    size = aez._HEADER.size
    changed = bytearray(content)
    changed[offset : offset + len(packed)] = packed
    changed[size : size + 4] = struct.pack("<I", zlib.crc32(bytes(changed[:size])))
    return bytes(changed)


def bomb(run):
    """A block that unpacks to 128 MB, under the right checksums."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**22, "lc": 0, "lp": 0, "pb": 0}]
    packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=filters)
    content = b"".join(packer.compress(bytes(2**24)) for _ in range(8)) + packer.flush()
    steps = Steps(0.02, np.zeros(8, np.int8))
    header = header_bytes(AezHeader(bytes.fromhex(weights_sha256(run)), 40_000, 8, steps))
    return header + struct.pack("<iIBII", 0, 200, 1, len(content), zlib.crc32(content)) + content


COUNT, LENGTH, NUMBER = 42, 50, 58
DAMAGES = {
    "empty": (lambda c, _: b"", "is not a file of ae compress"),
    "noise": (lambda c, _: bytes(range(256)) * 9, "is not a file of ae compress"),
    "its magic alone": (lambda c, _: c[:8], "it ends within its header"),
    "cut in its header": (lambda c, _: c[:30], "it ends within its header"),
    "cut in its steps": (lambda c, _: c[:80], "it ends before its last image"),
    "cut in its numbers": (lambda c, _: c[:-5], "it ends before its last image"),
    "cut before its numbers": (lambda c, _: c[:112], "it ends before its last image|checksum"),
    "padded": (lambda c, _: c + b"\0", "it goes on after its last image"),
    "another version": (lambda c, _: c[:8] + b"\2" + c[9:], "is of version 2 of the format, this ae reads version 1"),
    "a byte of the header changed": (lambda c, _: c[:20] + b"x" + c[21:], "a checksum is wrong"),
    "a byte of the numbers changed": (lambda c, _: c[:-9] + bytes([c[-9] ^ 1]) + c[-8:], "a checksum is wrong"),
    "of another run": (lambda c, _: resealed(c, 10, bytes(32)), "of another run"),
    "no images": (lambda c, _: resealed(c, COUNT, bytes(8)), "its counts are none"),
    "10^18 images": (lambda c, _: resealed(c, COUNT, struct.pack("<Q", 10**18)), "its counts are none"),
    "10^11 images": (lambda c, _: resealed(c, COUNT, struct.pack("<Q", 10**11)), "ends before its last image"),
    "a million images": (lambda c, _: resealed(c, COUNT, struct.pack("<Q", 10**6)), "ends before|another number"),
    "codes of 10^9": (lambda c, _: resealed(c, LENGTH, struct.pack("<I", 10**9)), "its counts are none"),
    "codes of none": (lambda c, _: resealed(c, LENGTH, bytes(4)), "its counts are none"),
    "a step of NaN": (lambda c, _: resealed(c, NUMBER, struct.pack("<d", float("nan"))), "its steps are none"),
    "a step of 0": (lambda c, _: resealed(c, NUMBER, bytes(8)), "its steps are none"),
    "half a level": (lambda c, _: resealed(resealed(c, 9, b"\1"), NUMBER, struct.pack("<d", 2.5)), "steps are none"),
    "another kind": (lambda c, _: resealed(c, 9, b"\7"), "its steps are none"),
    "a bomb": (lambda c, run: bomb(run), "another number of values than it says"),
}  # fmt: skip


@pytest.mark.parametrize("about", DAMAGES)
def test_a_damaged_file_is_one_line(ae, run, compressed, about):
    damage, says = DAMAGES[about]
    Path("bad.aez").write_bytes(damage(compressed, run))
    done = ae("decompress", "bad.aez", "--quiet", "--run", "runs/small")
    assert isinstance(done.exception, SystemExit), done.exc_info
    assert (done.exit_code, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("ae: bad.aez: ")
    assert re.search(says, line), line
    assert not Path("bad_images.npy").exists()


def test_every_cut_and_every_flipped_byte_of_a_header_is_found(compressed, run):
    size = aez._HEADER.size + 4 + HEADER_BYTES
    for place in range(size):
        for content in (
            compressed[:place],
            compressed[:place] + bytes([compressed[place] ^ 255]) + compressed[place + 1 :],
        ):
            Path("bad.aez").write_bytes(content)
            with pytest.raises(DataError, match=r"bad\.aez: "):
                list(open_aez(Path("bad.aez")).blocks())


def test_a_folder_a_device_and_nothing(ae, run):
    Path("folder.aez").mkdir()
    for path, says in {
        "folder.aez": "is no regular file",
        "/dev/zero": "is no regular file",
        "gone.aez": "no such file",
    }.items():
        done = ae("decompress", path, "--output", "x.npy")
        assert done.exit_code == 1
        assert f"ae: {path}: {says}: give a file that ae compress wrote" in done.stderr


def test_nothing_is_overwritten_without_being_asked(ae, run):
    Path("digits.aez").write_text("mine")
    done = ae("compress", str(DIGITS))
    assert done.exit_code == 1
    assert "digits.aez: exists already" in done.stderr
    assert Path("digits.aez").read_text() == "mine"
    assert "is written as .aez" in ae("compress", str(DIGITS), "--output", "x.npy").stderr


def test_the_header_holds_what_it_is_given():
    header = AezHeader(bytes(range(32)), 3, 4, Steps(0.5, np.array([1, -2, 3, 127], np.int8)))
    Path("x.aez").write_bytes(header_bytes(header) + pack(np.arange(12).reshape(3, 4)))
    found = open_aez(Path("x.aez")).header
    assert (found.weights, found.count, found.length) == (header.weights, 3, 4)
    assert found.quantiser.step == 0.5
    np.testing.assert_array_equal(found.quantiser.exponents, header.quantiser.exponents)
    levels = replace(header, quantiser=Levels(7))
    Path("y.aez").write_bytes(header_bytes(levels) + pack(np.arange(12).reshape(3, 4) % 7))
    assert open_aez(Path("y.aez")).header == levels


# -- rate -----------------------------------------------------------------------------------------


def curves_of(run):
    model, source = load_model(run), open_images_for(run, DIGITS)
    return [*rate_curves(run, model, source, sample_of(source, model, run.split.validation), len(run.split.validation))]


def test_more_bytes_are_better_up_to_what_floats_reach(trained, digits):
    own, pca, *pictures = curves_of(trained)
    assert own.own
    assert [curve.title for curve in (own, pca)] == ["small", "PCA-8"]
    assert not any(curve.own for curve in (pca, *pictures))
    for curve in (own, pca):
        assert list(curve.bytes) == sorted(curve.bytes)
        assert (np.diff(curve.psnr) > -0.1).all()
    images = trained.image_format.to_contract(digits[trained.split.validation])
    restored = load_model(trained).reconstruct(images).clip(0, 1)
    floats = float((-10 * np.log10(((images - restored) ** 2).mean(axis=(1, 2, 3)))).mean())
    assert own.psnr[-1] == pytest.approx(floats, abs=0.06)


def test_a_code_of_levels_is_one_point(quantised):
    assert [len(curve.bytes) for curve in curves_of(quantised)[:1]] == [1]


def test_the_plot_of_the_rate(ae, run):
    done = ae("plot", "rate")
    assert done.exit_code == 0, done.stderr
    assert (run.plots_folder / "rate.png").read_bytes().startswith(b"\x89PNG")
