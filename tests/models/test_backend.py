import sys
from importlib import import_module
from threading import Thread

import pytest

from aecli.models import backend


@pytest.fixture
def extra(monkeypatch, tmp_path):
    """The name of a package that Keras does not need, and that nobody has imported."""
    (tmp_path / "an_extra.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backend, "_NOT_NEEDED", ("an_extra",))
    yield "an_extra"
    sys.modules.pop("an_extra", None)


def test_a_package_that_is_not_needed_looks_absent_and_is_there_again(extra):
    with backend.without_extras(), pytest.raises(ModuleNotFoundError):
        import_module(extra)
    assert import_module(extra)


def test_another_thread_imports_it_meanwhile(extra):
    with backend.without_extras():
        reading = Thread(target=import_module, args=(extra,))
        reading.start()
        reading.join()
        assert sys.modules[extra]
