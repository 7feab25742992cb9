"""`ae plot history --follow`: the picture is drawn anew until the training ends, however it ends."""

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.test_terminal import LONGEST, Terminal
from tests.cli.watching.conftest import LOCKS

FOLLOW = ("plot", "history", "--run", "small", "--follow")


@pytest.fixture
def drawn(monkeypatch):
    """How many epochs were drawn, picture by picture."""
    from aecli.views import plots

    epochs, save = [], plots.save

    def counting(figure, path):
        epochs.append(len(figure.axes[0].lines[0].get_xdata()))
        return save(figure, path)

    monkeypatch.setattr(plots, "save", counting)
    return epochs


@LOCKS
@pytest.mark.parametrize("state", ["complete", "interrupted", "failed"])
def test_it_draws_what_changed_and_ends_with_the_run(ae, unfinished, between_looks, drawn, state):
    held = unfinished.run.locked()
    held.__enter__()

    def end():
        if state == "complete":
            unfinished.complete()
        else:
            unfinished.run.write_failure(state, "a reason", 3)
            unfinished.write(3)
        held.__exit__(None, None, None)

    between_looks(lambda: None, lambda: unfinished.write(2), lambda: None, end)
    result = ae(*FOLLOW)
    assert result.exit_code == 0
    assert result.stdout == "runs/small/plots/history.png\n"
    assert drawn == [1, 2, 3]
    assert "epoch 3/3  loss" in result.stderr
    last = {"complete": "is complete", "interrupted": "was interrupted", "failed": "has failed"}[state]
    assert result.stderr.splitlines()[-1] == f"runs/small: {last}"


@LOCKS
def test_what_is_written_between_the_mark_and_the_end_is_drawn(ae, unfinished, between_looks, drawn):
    """A run that fails is marked before its tables are written for the last time."""
    held = unfinished.run.locked()
    held.__enter__()

    def end():
        unfinished.write(2)
        held.__exit__(None, None, None)

    between_looks(lambda: unfinished.run.write_failure("failed", "a reason", 3), end)
    assert ae(*FOLLOW).exit_code == 0
    assert drawn == [1, 2]


@LOCKS
def test_a_killed_run_is_drawn_once_and_told(ae, unfinished, drawn):
    unfinished.run.lock_file.touch()  # which stays behind
    result = ae(*FOLLOW)
    assert (result.exit_code, drawn) == (0, [1])
    assert "is not in training, and not complete: its process was killed" in result.stderr.splitlines()[-1]
    again = ae("plot", "history", "--run", "small", "--quiet")
    assert (again.exit_code, drawn) == (0, [1, 1])


@LOCKS
def test_a_run_without_an_epoch_is_waited_for_or_refused(ae, unfinished, between_looks, drawn):
    unfinished.run.history_file.unlink()
    assert ae("plot", "history", "--run", "small").stderr.splitlines()[-1].startswith("ae: runs/small: no epoch has")
    result = ae(*FOLLOW)
    assert result.exit_code == 1
    assert "was killed, and no epoch has ended" in result.stderr.splitlines()[-1]
    with unfinished.run.locked():
        between_looks(lambda: unfinished.write(1))
        assert ae("plot", "history", "--follow").exit_code == 130
    assert drawn == [1]


@LOCKS
def test_a_run_that_is_overwritten_is_followed_on(ae, unfinished, between_looks, drawn):
    with unfinished.run.locked():
        between_looks(
            unfinished.run.history_file.unlink, unfinished.run.health_file.unlink, lambda: unfinished.write(2)
        )
        assert ae(*FOLLOW).exit_code == 130
    assert drawn == [1, 2]


@LOCKS
def test_a_run_that_is_removed_is_one_line(ae, unfinished, between_looks):
    with unfinished.run.locked():
        between_looks(lambda: shutil.rmtree("runs/small"))
        result = ae(*FOLLOW)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "ae: runs/small: is gone: it was removed meanwhile"
    assert not Path("runs/small").exists()


def test_without_a_run_in_training_the_newest_complete_one_is_drawn_once(ae, run, drawn):
    result = ae("plot", "history", "--follow")
    assert (result.exit_code, drawn) == (0, [3])
    assert result.stderr.splitlines()[-1] == "runs/small: is complete"


def test_what_needs_a_model_cannot_be_followed(ae, run):
    result = ae("plot", "errors", "--follow")
    assert result.exit_code == 2
    assert "--follow belongs to history or health" in result.stderr


@LOCKS
def test_ctrl_c_in_a_terminal_leaves_the_picture_whole_and_nothing_else(unfinished):
    picture = unfinished.run.plots_folder / "history.png"
    picture.unlink()
    with unfinished.run.locked():
        shown = Terminal(80, *FOLLOW)
        try:
            shown.read("1/3")
            os.write(shown.ours, b"\x03")
            text = shown.read()
            code = shown.process.wait(LONGEST)
        finally:
            shown.close()
    assert code == 130
    assert picture.read_bytes().endswith(b"IEND\xaeB`\x82")
    assert not [*unfinished.run.plots_folder.glob(".*")]
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")
    assert "Traceback" not in text
