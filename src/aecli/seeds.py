"""Every random choice is a pure function of (seed, names): nothing reads or writes global state."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2**31) that depends on `seed` and `names` alone, on every machine."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
