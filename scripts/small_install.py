"""Use a run where neither TensorFlow nor Keras is installed: what `pip install .` without the extra `train` is for.

    python scripts/small_install.py

The run is one of tests/old_runs, on the digits in data/. Ends with 1 where a command that uses a run fails, where
training does not say in one line what it needs, or where one of the two is installed after all.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = "runs/format_1"
USES = (
    ["runs"], ["doctor", "--quick"], ["reconstruct", "digits.npy"], ["encode", "digits.npy"],
    ["decode", "digits_latents.npy"], ["sample"], ["evaluate", "digits.npy"], ["score", "digits.npy"],
    ["compress", "digits.npy"], ["decompress", "digits.aez"], ["plot", "reconstructions"], ["plot", "errors"],
    ["plot", "latents"], ["report", RUN], ["check", "digits.npy"],
)  # fmt: skip
"""Commands that need nothing that trains."""


def main() -> int:
    here = [name for name in ("tensorflow", "keras") if importlib.util.find_spec(name)]
    if here:
        print(f"{' and '.join(here)} installed: nothing to try here")
        return 1
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "data" / "digits.npy", folder)
        shutil.copytree(ROOT / "tests" / "old_runs" / "format_1", Path(folder) / RUN)
        for arguments in USES:
            done = ae(folder, *arguments)
            failed += done.returncode != 0
            print(f"ae {' '.join(arguments)}: {'ok' if done.returncode == 0 else done.stderr}")
        done = ae(folder, "train", "--data", "digits.npy", "--run", "new")
    told = done.stderr.splitlines()[-1:]
    print(f"ae train: {told[0] if told else 'nothing said'}")
    return int(failed > 0 or done.returncode != 1 or "pip install tensorflow" not in "".join(told))


def ae(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "aecli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
