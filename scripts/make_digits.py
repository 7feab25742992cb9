"""Write data/digits.npy: the handwritten digits that scikit-learn ships, as uint8 0-255.

    python scripts/make_digits.py

scikit-learn's values are the whole numbers 0-16; each is written as round(value * 255 / 16).
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "data" / "digits.npy"


def main() -> None:
    images = load_digits().images
    np.save(TARGET, np.rint(images * (255 / 16)).astype(np.uint8))
    print(f"{TARGET}: {images.shape}")


if __name__ == "__main__":
    main()
