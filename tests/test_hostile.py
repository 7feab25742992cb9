"""Bad and hostile input: each ends with exit code 1 and one line that names it and says what to do."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from aecli.data.files import cache
from tests.hostile import Case, cases
from tests.hostile_uses import uses

CASES = [*cases(), *uses()]


def state(folder: Path) -> dict[str, object]:
    """What lies in a folder: every name, with the content of regular files."""
    found: dict[str, object] = {}
    for path, folders, files in os.walk(folder):
        found |= {os.path.join(path, name): "folder" for name in folders}
        for name in files:
            file = Path(path, name)
            regular = file.is_file() and not file.is_symlink()
            found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest() if regular else "special"
    return found


def require_one_line(stderr: str, case: Case) -> None:
    """Require one line "ae: where: what: cure", after notes at most."""
    assert "Traceback" not in stderr
    *notes, last = stderr.splitlines()
    assert not [line for line in notes if line.startswith("ae: ")]
    assert last.startswith("ae: ")
    assert re.search(case.says, last), last
    line = last.removeprefix("ae: ")
    assert line.startswith(case.names), last
    assert len(line) < 1000
    # Where, what and what to do.
    assert re.search(r".+: .+(: |; |, )(\w|').+", line), last


def test_there_are_enough_cases():
    assert len(CASES) >= 120
    assert len({case.about for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.about for case in CASES])
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(case, run, ae, tmp_path):
    case.build(run)
    before = state(tmp_path)
    result = ae(*case.command)
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 1, result.output
    require_one_line(result.stderr, case)
    assert result.stdout == ""
    assert state(tmp_path) == before
    assert not list(cache.cache_folder().glob(".*"))
