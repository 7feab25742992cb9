"""`ae runs --watch`: what it shows while runs come, go on, are damaged and vanish."""

import json
import os
import re
import shutil
from pathlib import Path

from aecli.cli.watching.table import RunRows
from aecli.runs.run import Run
from tests.cli.test_terminal import LONGEST, Terminal, lines_of
from tests.cli.watching.conftest import LOCKS


@LOCKS
def test_a_pipe_gets_a_line_for_each_change(ae, unfinished, between_looks):
    broken = Run(Path("runs/broken"))

    def damage():
        broken.path.mkdir()
        broken.config_file.write_text("model: [")

    with unfinished.run.locked():
        between_looks(lambda: None, lambda: unfinished.write(2), damage, lambda: shutil.rmtree(broken.path))
        first = ae("runs", "--watch").stdout.splitlines()
    between_looks(unfinished.complete, lambda: shutil.rmtree("runs"))
    second = ae("runs", "--watch").stdout.splitlines()
    assert [re.sub(r"left .*?(  |$)", r"left X\1", line) for line in first] == [
        "small  training  epochs 1  left X  dead 0",
        "small  training  epochs 2  left X  dead 0",
        "broken  damaged",
        "broken  gone",
    ]
    assert second[0] == "small  incomplete"
    assert re.fullmatch(r"small  complete  epochs 3  dead 0  psnr dB [\d.]+", second[1])
    assert second[2] == "small  gone"


def test_a_folder_that_is_not_there_yet_is_waited_for(ae, between_looks):
    between_looks(lambda: None)
    result = ae("runs", "--watch")
    assert (result.stdout, result.exit_code) == ("", 130)


def test_watch_and_json_exclude_each_other(ae):
    result = ae("runs", "--watch", "--json")
    assert result.exit_code == 2
    assert "--watch and --json exclude each other: give one of them" in result.stderr


def test_a_complete_run_is_read_again_when_it_has_changed(run):
    looking = RunRows(Path("runs"))
    [first] = looking.read()
    [second] = looking.read()
    assert second is first
    content = json.loads(run.metrics_file.read_text())
    run.metrics_file.write_text(json.dumps({**content, "epochs": 12345}))
    assert [row["epochs"] for row in looking.read()] == [12345]
    run.metrics_file.unlink()
    assert [(row["state"], row["epochs"]) for row in looking.read()] == [("incomplete", None)]
    shutil.rmtree(run.path)
    assert looking.read() == []


def test_a_terminal_shows_the_table_in_place_and_a_signal_leaves_nothing_behind(run):
    for columns, tables in ((200, 1), (60, 3)):
        shown = Terminal(columns, "runs", "--watch")
        try:
            shown.read(r"psnr dB[\s\S]*date[\s\S]*\n")
            if columns == 60:
                os.write(shown.ours, b"\x03")
            else:
                shown.process.terminate()
            text = shown.read()
            code = shown.process.wait(LONGEST)
        finally:
            shown.close()
        lines = [*lines_of(text)]
        assert code == (130 if columns == 60 else 143)
        assert all(len(line.rstrip()) <= columns for line in lines)
        assert len({line for line in lines if line.startswith("run ")}) >= tables
        assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back
        assert "Traceback" not in text
