"""Time `ae compare` beside the article's script in a loop of fresh processes.

    python scripts/bench_study.py [--json FILE.json]

Both train 784-64-784 with eight activations and 5 seeds on 20,000 MNIST images for 10 epochs of batches of 256.
The script (Keras, `fit` on arrays) is run once for every activation, each in a process of its own; its other four
seeds are counted as costing the same. `ae compare` is run whole: images read, runs trained, measured beside PCA,
tabled. MNIST is read from ../shared/data; where it is missing, generated images take its place.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from bench import MNIST, machine

ACTIVATIONS = ("relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "linear")
IMAGES, SEEDS, EPOCHS, BATCH = 20_000, 5, 10, 256


def write_images(path: Path) -> None:
    """Write the images both train on."""
    real = np.load(MNIST) if MNIST.is_file() else np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28))
    np.save(path, real[:IMAGES].astype(np.uint8))


def script(activation: str) -> None:
    """The article's recipe, with a tenth of the images held out as the study holds them out."""
    import keras

    images = np.load("images.npy").reshape(IMAGES, 784).astype("float32") / 255
    train, test = images[: IMAGES * 9 // 10], images[IMAGES * 9 // 10 :]
    layer = {"prelu": keras.layers.PReLU(), "leaky_relu": keras.layers.LeakyReLU(negative_slope=0.2)}
    code = layer.get(activation) or keras.layers.Activation(activation)
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(64), code, keras.layers.Dense(784, "sigmoid")])
    model.compile(optimizer="adam", loss="mse")
    model.fit(train, train, batch_size=BATCH, epochs=EPOCHS, validation_split=0.1, verbose=0)
    print(float(((model.predict(test, verbose=0) - test) ** 2).mean()))


def seconds_of(command: list[str]) -> float:
    """Run a command to its end; return its seconds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare() -> dict[str, Any]:
    """Run the study; return its seconds and the share of the workers' time spent in epochs."""
    sets = [f"training.epochs={EPOCHS}", f"training.batch_size={BATCH}", "training.learning_rate=0.001"]
    sets += ["model.hidden=[]", "model.latent_dim=64", "model.linear_path=none", "training.schedule=constant"]
    command = [sys.executable, "-m", "aecli.cli.main", "compare", "images.npy", "--seeds", str(SEEDS)]
    command += ["--vary", f"model.latent_activation={','.join(ACTIVATIONS)}"]
    seconds = seconds_of([*command, "--output", "study", *(f"--set={key}" for key in sets)])
    stages: dict[str, float] = {}
    beside = []
    for file in Path("study/runs").glob("*/*/environment.json"):
        taken = json.loads(file.read_text())["seconds"]
        stages = {name: stages.get(name, 0) + value for name, value in taken.items()}
        if taken["compiling"] < 0.3:  # not the first run of its variant in its worker
            beside.append(sum(value for name, value in taken.items() if name not in ("training", "validating")))
    epochs = stages["training"] + stages["validating"]
    workers = os.cpu_count() or 1
    return {
        "seconds": seconds,
        "stages": {name: round(value, 2) for name, value in stages.items()},
        "epochs_share_of_worker_time": epochs / (workers * seconds),
        "epochs_share_of_the_runs": epochs / sum(stages.values()),
        "beside_the_epochs_of_a_later_run": float(np.median(beside)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--script", choices=ACTIVATIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.script:
        script(options.script)
        return
    target = options.json.absolute() if options.json else None
    folder = tempfile.mkdtemp()
    try:
        os.chdir(folder)
        process = multiprocessing.get_context("spawn").Process(
            target=write_images, args=(Path("images.npy").absolute(),)
        )
        process.start()
        process.join()
        ours = compare()
        one_seed = [seconds_of([sys.executable, __file__, "--script", activation]) for activation in ACTIVATIONS]
        theirs = SEEDS * sum(one_seed)
    finally:
        shutil.rmtree(folder)
    result = {"machine": machine(), "ae_compare": ours, "script": {"one_seed": one_seed, "seconds": theirs}}
    result["ratio"] = ours["seconds"] / theirs
    if target:
        target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
