"""What a file is, by its first bytes and its suffix, and what to do with one that is not read as it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

HEAD = 1024
"""Bytes at the start of a file by which its kind is known."""


@dataclass(frozen=True)
class Kind:
    """A kind of file that is not read as it is, and the cure.

    `plugin` is the module of a plug-in of Pillow that reads it, `formats` what Pillow calls it then.
    """

    name: str
    suffixes: tuple[str, ...]
    cure: str
    plugin: str | None = None
    formats: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.cure}"

    @property
    def is_read(self) -> bool:
        """Whether its plug-in is installed."""
        return self.plugin is not None and find_spec(self.plugin) is not None


_CONVERT = "convert it to PNG or TIFF"
_PICTURES = (
    Kind("HEIC", (".heic", ".heif", ".hif", ".heics"), "pip install pillow-heif", "pillow_heif", ("HEIF",)),
    Kind("JPEG XL", (".jxl",), "pip install pillow-jxl-plugin", "pillow_jxl", ("JXL",)),
    Kind("JPEG XR", (".jxr", ".wdp", ".hdp"), _CONVERT),
    Kind("DICOM", (".dcm", ".dicom"), "save the pixel_array of pydicom.dcmread as .npy"),
    Kind("NIfTI", (".nii",), "save the slices that nibabel reads as .npy"),
    Kind("FITS", (".fits", ".fit", ".fts"), "save the data that astropy reads as .npy"),
    Kind("OpenEXR", (".exr",), "save it as .npy, or as TIFF of 16 bits"),
    Kind("Radiance HDR", (".hdr",), "save it as .npy, or as TIFF of 16 bits"),
    Kind("portable floats", (".pfm",), "save it as .npy, or as TIFF of 16 bits"),
    Kind(
        "a camera's raw file",
        (".cr2", ".cr3", ".crw", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"),
        "develop it to TIFF or JPEG, with rawpy for instance",
    ),
    Kind(
        "a microscope's own format",
        (".czi", ".nd2", ".lif", ".lsm", ".oib", ".oif", ".svs", ".ndpi", ".mrxs", ".vsi"),
        "export it as TIFF, with Bio-Formats for instance",
    ),
    Kind("SVG", (".svg", ".svgz"), "a drawing: render it to PNG"),
    Kind("PostScript", (".eps",), "a drawing: render it to PNG"),
    Kind("Photoshop's own format", (".psd", ".psb"), _CONVERT),
    Kind("GIMP's own format", (".xcf",), _CONVERT),
    Kind("Targa", (".tga",), _CONVERT),
    Kind("QOI", (".qoi",), _CONVERT),
    Kind("PCX", (".pcx",), _CONVERT),
    Kind("an icon", (".ico", ".cur", ".icns"), _CONVERT),
    Kind("a texture", (".dds", ".ktx", ".ktx2", ".astc"), _CONVERT),
)
"""Pictures that are not read without help. Some begin like TIFF, and hold a small preview where it would be read."""

_OTHERS = (
    Kind("a web page", (".html", ".htm"), "the download failed, get it again"),
    Kind("a pointer of Git LFS", (), "get the file with git lfs pull"),
    Kind("PDF", (".pdf",), "render its pages to PNG"),
    Kind("a film", (".mp4", ".mov", ".avi", ".mkv", ".webm"), "save its frames as PNG, with ffmpeg for instance"),
    Kind("an .npy array", (), "give it the suffix .npy"),
    Kind("HDF5", (), "give it the suffix .h5"),
    Kind("a zip archive", (), "give it the suffix .zip"),
    Kind("packed by gzip", (), "unpack it"),
    Kind("a pickle, which could run code", (".pkl", ".pickle", ".joblib"), "save the images with numpy.save"),
    Kind("PyTorch's own format", (".pt", ".pth"), "save the images with numpy.save(FILE, tensor.numpy())"),
    Kind("safetensors", (".safetensors",), "save the images with numpy.save"),
    Kind("TFRecord", (".tfrecord", ".tfrecords"), "save the images with numpy.save"),
    Kind("a table", (".parquet", ".feather", ".arrow", ".xlsx", ".xls", ".ods"), "save the images with numpy.save"),
    Kind("LMDB", (".lmdb", ".mdb"), "save the images with numpy.save"),
    Kind("Zarr", (".zarr",), "save the images with numpy.save"),
    Kind("raw numbers", (".raw", ".bin", ".dat", ".img"), "save numpy.fromfile(FILE, DTYPE).reshape(-1, H, W) as .npy"),
    Kind("JSON", (".json", ".jsonl"), "save the images with numpy.save"),
    Kind("7-Zip", (".7z",), "unpack it and give the folder"),
    Kind("RAR", (".rar",), "unpack it and give the folder"),
)
"""Files that are no pictures but may be given for some."""

_BY_SUFFIX: Mapping[str, Kind] = MappingProxyType({s: kind for kind in (*_PICTURES, *_OTHERS) for s in kind.suffixes})
_BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in (*_PICTURES, *_OTHERS)})

PICTURE_SUFFIXES = frozenset(suffix for kind in _PICTURES for suffix in kind.suffixes)
"""Suffixes of pictures that are not read without help."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (rb"\x89PNG\r\n", "PNG"), (rb"\xff\xd8\xff", "JPEG"), (rb"GIF8[79]a", "GIF"), (rb"BM.{4}\0\0\0\0", "BMP"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"), (rb"RIFF.{4}WEBP", "WebP"), (rb"P[1-6]\s", "PGM or PPM"),
    (rb".{4}ftypavi[fs]|.{4}ftypmi[fa]1.{0,64}?avif", "AVIF"), (rb".{4}ftypcrx ", "a camera's raw file"),
    (rb".{4}ftyp(hei[cxmsf]|hev[cmx]|mif1|msf1)", "HEIC"), (rb".{4}ftyp", "a film"), (rb"RIFF.{4}AVI ", "a film"),
    (rb"\x1aE\xdf\xa3", "a film"), (rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a", "JPEG XL"), (rb"II\xbc\x01", "JPEG XR"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"), (rb".{128}DICM", "DICOM"), (rb"%PDF-", "PDF"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"), (rb"8BPS", "Photoshop's own format"),
    (rb"gimp xcf", "GIMP's own format"), (rb"SIMPLE  =", "FITS"), (rb"\x76\x2f\x31\x01", "OpenEXR"),
    (rb"#\?(RADIANCE|RGBE)", "Radiance HDR"), (rb"P[Ff]\s", "portable floats"),
    (rb"qoif", "QOI"), (rb"\0\0[\x01\x02]\0[^\0]\0", "an icon"), (rb"DDS ", "a texture"),
    (rb"\s*(<\?xml.{0,512}?)?<svg", "SVG"), (rb"(?i)\s*(<!doctype html|<html|<head)", "a web page"),
    (rb"version https://git-lfs", "a pointer of Git LFS"), (rb"\x93NUMPY", "an .npy array"), (rb"\x89HDF\r\n", "HDF5"),
    (rb"PK\x03\x04", "a zip archive"), (rb"\x1f\x8b", "packed by gzip"), (rb"7z\xbc\xaf", "7-Zip"), (rb"Rar!", "RAR"),
    (rb"\x80[\x02-\x05]", "a pickle, which could run code"),
)  # fmt: skip
"""How files begin -> their kind."""


def kind_by_content(head: bytes) -> str | None:
    """Return the name of the kind of a file that begins with these HEAD bytes, None for one that is not known."""
    return next((name for start, name in _SIGNATURES if re.match(start, head, re.DOTALL)), None)


def kind_named(name: str | None) -> Kind | None:
    """Return the kind of this name that is not read as it is, None for any other."""
    return _BY_NAME.get(name or "")


def kind_by_suffix(suffix: str) -> Kind | None:
    """Return the kind that is not read as it is of files with this suffix, None for any other."""
    return _BY_SUFFIX.get(suffix.lower())


def plugin_packages() -> dict[str, str]:
    """Return the package whose plug-in reads it, for every kind that one does."""
    return {kind.name: kind.cure.removeprefix("pip install ") for kind in _PICTURES if kind.plugin is not None}


@cache
def plugin_formats() -> tuple[str, ...]:
    """Return what Pillow calls the formats that its installed plug-ins read; they are known to it from here on."""
    kinds = [kind for kind in _PICTURES if kind.plugin is not None and kind.is_read]
    for kind in kinds:
        module = import_module(str(kind.plugin))
        # One registers itself when it is imported, the other when it is asked.
        getattr(module, "register_heif_opener", lambda: None)()
    return tuple(name for kind in kinds for name in kind.formats)
