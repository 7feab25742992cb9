"""Measure ae score where one class is normal: AUROC, what is caught, and whether false alarms are as asked.

    python scripts/one_class.py DATA [--sets mnist,fashion_mnist] [--classes 0,1,...] [--seeds N] [--work DIR]

DATA holds <set>_train.npy, <set>_test.npy and their _labels.npy. For each class and seed a run is trained on that class
of the training images, and scores all test images. Prints the table of docs/anomalies.md.
"""

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.inputs import open_images_for
from aecli.runs.uses.scoring.conformal import threshold
from aecli.runs.uses.scoring.held_out import ROWS
from aecli.runs.uses.scoring.result import ScoredImages, ask_of_labels, held_out_of, score_images
from aecli.training.trainer import train

NETWORK = (
    "model.hidden=[256]", "model.latent_dim=32", "model.activation=prelu", "model.latent_activation=linear",
    "training.epochs=10", "training.batch_size=128",
)  # fmt: skip
RATES = (0.01, 0.05)


def runs(data: Path, work: Path, name: str, label: int, seeds: int) -> Iterator[ScoredImages]:
    for seed in range(seeds):
        folder = work / f"{name}_{label}_{seed}"
        run = Run(folder)
        if run.state != "complete":
            keys = [
                *NETWORK, f"data.train={data}/{name}_train.npy", f"data.only_label={label}", f"training.seed={seed}",
            ]  # fmt: skip
            run = train(load_config(None, keys).config, folder)
        model = load_model(run)
        source = open_images_for(run, data / f"{name}_test.npy")
        asked = ask_of_labels(run, source, None)
        known = held_out_of(run, model, "mse", None, asked.classes)
        yield score_images(run, model, source, "mse", known, asked, RATES[0])


def false_alarms(scored: ScoredImages, rate: float) -> tuple[float, bool]:
    """Return the share of the normal test images that is flagged, and whether it is within its interval."""
    assert scored.normal is not None
    assert scored.known.scores is not None
    found = threshold(scored.known.scores["model"], rate)
    normal = scored.own[scored.normal]
    count = int((normal > found.value).sum())
    low, high = found.count_interval(len(normal))
    return count / len(normal), low <= count <= high


def spread(values: list[float], decimals: int = 3) -> str:
    mean = f"{statistics.mean(values):.{decimals}f}"
    return f"{mean} ± {statistics.stdev(values):.{decimals}f}" if len(values) > 1 else mean


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="mnist,fashion_mnist")
    parser.add_argument("--classes", default="0,1,2,3,4,5,6,7,8,9")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("one_class"))
    asked = parser.parse_args()
    inside: dict[float, list[bool]] = {rate: [] for rate in RATES}
    print("| normal | AUROC | PCA-32 | mean image | caught at 1 % | PCA-32 | flagged at 1 % | at 5 % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in asked.sets.split(","):
        for label in map(int, asked.classes.split(",")):
            results = list(runs(asked.data, asked.work, name, label, asked.seeds))
            cells = [spread([scored.judged[row].auroc.area for scored in results]) for row in ROWS]
            for row in ROWS[:2]:
                caught = [scored.judged[row].caught for scored in results]
                cells.append(spread([100 * share.count / share.of for share in caught if share], 0) + " %")
            for rate in RATES:
                found = [false_alarms(scored, rate) for scored in results]
                inside[rate] += [within for _, within in found]
                cells.append(spread([100 * share for share, _ in found], 2) + " %")
            print(f"| {name} {label} | {' | '.join(cells)} |", flush=True)
    for rate, within in inside.items():
        print(f"asked {rate:.0%}: within its interval {sum(within)} times of {len(within)}")


if __name__ == "__main__":
    main()
