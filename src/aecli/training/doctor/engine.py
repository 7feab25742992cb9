"""Whether a run can be used and what the engine trains on, asked in a process of its own: it may end its process."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

_SECONDS = 180
"""How long an engine may take to load; from a slow shared disk it takes a minute."""

_ASK = """
import json, sys
from aecli.core.errors import one_line
answer = {"devices": [], "error": "", "broken": ""}
try:
    from aecli.runs.model import onnx_runtime
    onnx_runtime()
    from aecli.training.engines.engine import DEFAULT_ENGINE
except Exception as error:
    answer["broken"] = one_line(error)
else:
    try:
        answer["devices"] = DEFAULT_ENGINE.load().device_names() if sys.argv[1:] == ["load"] else []
    except Exception as error:
        answer["error"] = one_line(error)
print("\\n" + json.dumps(answer))
"""


@dataclass(frozen=True)
class Answer:
    """What the engine trains on, e.g. ["cpu"], or why it cannot be loaded, or why not even a run can be used."""

    devices: tuple[str, ...] = ()
    error: str = ""
    broken: str = ""


def ask(load: bool) -> Answer:
    """Import what uses a run, and with `load` the default engine too; return what came of it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        # -P: a file of the user's folder that is named as a module is none.
        done = subprocess.run(
            [sys.executable, "-P", "-c", _ASK, *(["load"] if load else [])],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(error=f"no answer within {_SECONDS} s")
    except OSError as error:
        return Answer(broken=f"Python cannot be started: {error.strerror}")
    if done.returncode < 0:
        return Answer(error=f"it ends its process by {_name_of(-done.returncode)}")
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        return Answer(tuple(answer["devices"]), answer["error"], answer["broken"])
    except (ValueError, IndexError, KeyError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return Answer(error=last[0])


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
