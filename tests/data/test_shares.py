"""Pictures worked on elsewhere: the same bytes, the same ones left out, and nothing that cannot travel."""

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import DataError, ReadError
from aecli.data.files.convert import ConvertOptions, import_images
from aecli.data.shares import HERE, Spread, in_shares


def travelling(function, items):
    """Yield function(item) for every item, as another process would give it: all that it gets and gives is pickled."""
    function = pickle.dumps(function)
    for item in items:
        yield pickle.loads(pickle.dumps(pickle.loads(function)(pickle.loads(pickle.dumps(item)))))


ELSEWHERE = Spread(travelling, pictures=7, bytes=2**20, elsewhere=True)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    for i in range(40):
        path = Path("pictures") / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (9 + i % 3, 9), dtype=np.uint8)).save(path)
    for name in ("05.png", "06.jpg", "99.png"):
        Path("pictures/b", name).write_bytes(b"no picture")
    whole = Path("pictures/a/02.png").read_bytes()
    Path("pictures/a/02.png").write_bytes(whole[: len(whole) // 2])  # whose header says that it is well
    stack = [Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8)) for _ in range(3)]
    stack[0].save("pictures/a/stack.gif", save_all=True, append_images=stack[1:])
    return Path("pictures")


def imported(name, pictures, spread):
    made = import_images([pictures], Path(f"{name}.npy"), ConvertOptions(), spread=spread)
    files = [Path(f"{name}{end}").read_bytes() for end in (".npy", ".json", "_labels.npy")]
    return files, [note.replace(name, "") for note in made.notes]


def test_pictures_decoded_elsewhere_come_out_as_those_decoded_here(pictures):
    ours, notes = imported("here", pictures, HERE)
    theirs, other = imported("there", pictures, ELSEWHERE)
    assert ours == theirs
    assert notes == other
    assert any("4 files could not be read" in note for note in notes)


def test_shares_are_no_larger_than_asked():
    names = [str(i) for i in range(10)]
    spread = Spread(travelling, pictures=4, bytes=20, elsewhere=True)
    shares = list(in_shares(names, lambda name: (name, 0), _stand_in, spread, size=5))
    assert [len(share.names) for share in shares] == [4, 4, 2]
    assert [len(share.names) for share in in_shares(names, lambda name: (name, 0), _stand_in, spread, size=9)] == [
        2
    ] * 5
    assert [name for share in shares for name in share.read()] == ["0", "2", "4", "6", "8"]
    assert [share.faults[1].reason for share in shares] == ["odd"] * 3


def _stand_in(path, number):
    if int(Path(path).name) % 2:
        raise ValueError("odd")
    return np.zeros(2)


def test_a_picture_that_is_here_and_missing_elsewhere_is_one_line(pictures):
    with pytest.raises(DataError, match=r"a/00.png: is missing on a worker: the pictures must be at the same path"):
        import_images([pictures], Path("out.npy"), ConvertOptions(), spread=Spread(_unmounted, elsewhere=True))
    assert not Path("out.npy").exists()


def _unmounted(function, items):
    return travelling(function, ([(f"/nowhere{path}", number) for path, number in item] for item in items))


def test_a_disk_that_fails_elsewhere_ends_the_import(pictures):
    with pytest.raises(ReadError, match=r"a/00.png: cannot be read \(Input/output error\)"):
        import_images([pictures], Path("out.npy"), ConvertOptions(), spread=Spread(_broken, elsewhere=True))


def _broken(function, items):
    return travelling(partial(type(function), function.func, _fail)(), items)


def _fail(path, number):
    raise OSError(5, "Input/output error")
