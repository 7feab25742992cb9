"""The command line; the only folder that imports click and rich, and the only one that prints."""

import time

STARTED = time.perf_counter()
"""When the command began, for what a training says of its start-up."""
