"""Looking at images before training on them: what is in the files, and how a config will do on it."""

from aecli.check.checking import Checked, check

__all__ = ["Checked", "check"]
