"""What ae needs, and what of it is installed, by the metadata of packages."""

from pathlib import Path

import pytest

from aecli.core.system import packages as system
from aecli.core.system.packages import Package, packages


def put(name: str, version: str, *requirements: str) -> None:
    folder = Path(f"{name.replace(chr(45), chr(95))}-{version}.dist-info")
    folder.mkdir()
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requirements),
    ]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr(system, "_SELF", "a-tool")
    put(
        "a-tool", "1.0", "one-thing>=2.1,!=2.3", "missing-thing<3,>=1.5", "any_thing", "onlyhere>=1 ; sys_platform == 'win32'",
        "one-thing[fast]>=2.1 ; extra == 'speed'", 'extra-thing~=0.9; extra == "more"',
    )  # fmt: skip
    put("one-thing", "2.0.9", "fast-thing>=1 ; extra == 'fast'", "slow-thing ; extra == 'slow'")
    put("any_thing", "0.1rc1")
    put("extra-thing", "0.10")


def test_versions_are_those_of_the_metadata(installed):
    assert packages() == [
        Package("one-thing", "2.0.9", "2.1"),
        Package("missing-thing", None, "1.5"),
        Package("any_thing", "0.1rc1"),
        Package("extra-thing", "0.10", "0.9", "more"),
        Package("fast-thing", None, "1", "speed"),
    ]
    assert [package.name for package in packages() if package.too_old] == ["one-thing"]


def test_what_trains_is_needed_and_named_once_though_another_extra_includes_it(monkeypatch):
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr(system, "_SELF", "trainer")
    put(
        "trainer", "1.0", "engine>=2; extra == 'train'", "engine[chips]>=2; extra == 'gpu'", "engine>=2; extra == 'gpu'"
    )
    put("engine", "2.1", "chip>=1 ; extra == 'chips'")
    assert packages() == [Package("engine", "2.1", "2"), Package("chip", None, "1", "gpu")]


def test_a_module_may_come_in_a_package_of_another_name(installed):
    put("other-name", "2.5")
    Path("other_name-2.5.dist-info/top_level.txt").write_text("missing-thing\n")
    assert Package("missing-thing", "2.5", "1.5") in packages()


def test_a_tool_that_runs_from_its_source_needs_nothing_that_is_known(monkeypatch):
    monkeypatch.setattr(system, "_SELF", "no-such-tool")
    assert packages() == []


@pytest.mark.parametrize(
    ("version", "least", "too_old"),
    [("2.1", "2.1", False), ("2.1.0", "2.1", False), ("2.10", "2.9", False), ("2.9", "2.10", True), ("3.0rc1", "3.0", False),
     ("0.9.9.post1", "1", True), ("", "1", False), ("dev", "1", True)],
)  # fmt: skip
def test_versions_are_compared_number_by_number(version, least, too_old):
    assert Package("x", version or None, least).too_old == too_old
