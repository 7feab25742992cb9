"""The command line; the only folder that imports click and rich, and the only one that prints."""

import os
import time

STARTED = time.perf_counter()
"""When the command began, for what a training says of its start-up."""

# Read when NumPy is imported. Images are worked on in chunks side by side, each on a thread of its own:
# further threads inside every matrix product would only get in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
