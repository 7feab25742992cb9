"""Where the time of a training went."""

import time

from aecli.training.progress import NullProgress, Stages


def test_the_stages_share_all_the_time_from_the_start():
    started = time.perf_counter() - 100
    stages = Stages(NullProgress(), started)
    stages.enter("reading")
    stages.enter("training")
    stages.move("compiling", 0.5)
    seconds = stages.seconds()
    assert list(seconds) == ["start-up", "reading", "compiling", "training"]
    assert 100 <= seconds["start-up"] < 101
    assert seconds["compiling"] == 0.5
    assert abs(sum(seconds.values()) - (time.perf_counter() - started)) < 0.1


def test_a_stage_entered_again_adds_up():
    stages = Stages(NullProgress(), time.perf_counter() - 1)
    for name in ("a", "start-up"):
        stages.enter(name)
    assert list(stages.seconds()) == ["start-up", "a"]
