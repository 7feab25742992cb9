"""Ask the database of PyPI for known holes in what is installed here.

    python scripts/audit.py

Exit code 1 where one is known and a version without it is out. Skipped with a word where the database is out of reach.
"""

import json
import subprocess
import sys

SECONDS = 90
INSTALLERS = ("pip", "setuptools")
"""They come with the Python that made the environment, not with the project."""


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run(
            [*command, "--skip-editable"], capture_output=True, text=True, check=False, timeout=SECONDS
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        packages = []
    # Where the index is a mirror without the database, every package is skipped.
    asked = [package for package in packages if "vulns" in package and package["name"] not in INSTALLERS]
    if not asked:
        print("audit skipped: the database of known holes cannot be reached from here")
        return 0
    mendable = 0
    for package in asked:
        for hole in package["vulns"]:
            cure = ", ".join(hole["fix_versions"]) or "no version without it yet"
            print(f"{package['name']} {package['version']}: {hole['id']}: {cure}")
            mendable += bool(hole["fix_versions"])
    print(f"{len(asked)} of {len(packages)} packages audited, {mendable} holes that a newer version mends")
    return 1 if mendable else 0


if __name__ == "__main__":
    sys.exit(main())
