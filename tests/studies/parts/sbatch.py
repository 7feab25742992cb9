"""A stand-in for SLURM's `sbatch` on one machine: an array of jobs as processes, so many at a time.

    python sbatch.py SCRIPT

Of the lines that begin with #SBATCH it heeds --array=A-B, --cpus-per-task and --requeue: a job that is killed by
SIGKILL, as when its node fails, is begun once more. Each job writes slurm-JOB_INDEX.out. The exit code is that of the
worst job.
"""

import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 3
JOB = "71"


def options(script: str) -> dict[str, str]:
    """Return the options in the lines at the beginning of a script, before its first command."""
    head = re.match(r"(?:#.*\n|\s*\n)*", script)
    words = [
        word for line in re.findall(r"^#SBATCH (.*)$", head[0] if head else "", re.M) for word in shlex.split(line)
    ]
    return {name.removeprefix("--"): value for name, _, value in (word.partition("=") for word in words)}


def run(script: Path, index: int, asked: dict[str, str]) -> int:
    """Run one job of the array; return its exit code."""
    own = {"SLURM_ARRAY_JOB_ID": JOB, "SLURM_ARRAY_TASK_ID": str(index), "SLURM_CPUS_PER_TASK": asked["cpus-per-task"]}
    code = 0
    for _ in range(2 if "requeue" in asked else 1):
        with Path(f"slurm-{JOB}_{index}.out").open("a") as out:
            code = subprocess.run(
                ["bash", script], env={**os.environ, **own}, stdout=out, stderr=out, check=False
            ).returncode
        if code != -9:
            break
    return abs(code)


def main() -> int:
    script = Path(sys.argv[1])
    asked = options(script.read_text())
    first, last = map(int, asked["array"].split("-"))
    print(f"Submitted batch job {JOB}")
    with ThreadPoolExecutor(AT_ONCE) as nodes:
        return max(nodes.map(lambda index: run(script, index, asked), range(first, last + 1)))


if __name__ == "__main__":
    sys.exit(main())
