"""Time the training of convolutional networks side by side: ae, and a PyTorch loop with channels last.

    python scripts/bench_conv.py [--pairs 3] [--steps 100] [--torch PYTHON] [--json FILE.json]

Both train the same layers (ReLU, sigmoid output, MSE, Adam 1e-3, batches of 32, a code of 128) on generated images, on
one thread, each in a process of its own, taking turns. What is compared is processor time an image after a first epoch,
which compiles: unlike wall time it hardly depends on what else the machine does. --torch names an interpreter that has
PyTorch, by default this one. ae's epochs include the validation of 2 % of the images.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH, CODE = 32, 128
NETWORKS = {"16-32-64 at 32 x 32": ([16, 32, 64], 32), "32-64-128 at 64 x 64": ([32, 64, 128], 64)}
UPSAMPLING = ("resize", "shuffle", "transposed")


def train_ae(channels: list[int], side: int, upsampling: str, steps: int) -> float:
    """Return the processor seconds an image of all epochs but the first."""
    from aecli.runs.config_file import load_config
    from aecli.runs.records import EpochRecord
    from aecli.training.progress import NullProgress
    from aecli.training.trainer import train

    class Clock(NullProgress):
        times: list[float] = []  # noqa: RUF012

        def epoch(self, record: EpochRecord, epochs: int) -> None:
            self.times.append(time.process_time())

    images = steps * BATCH
    clock, pixels = Clock(), np.random.default_rng(0).integers(0, 256, (images, side, side, 3))
    np.save("images.npy", pixels.astype(np.uint8))
    keys = ["data.train=images.npy", "data.validation_split=0.02", "data.test_split=0", "model.family=conv"]
    keys += [f"model.channels={channels}", f"model.latent_dim={CODE}", f"model.upsampling={upsampling}"]
    config = load_config(None, [*keys, f"training.batch_size={BATCH}", "training.epochs=2"]).config
    train(config, Path("run"), overwrite=True, artifacts=(), progress=clock)
    return (clock.times[1] - clock.times[0]) / images


def train_torch(channels: list[int], side: int, upsampling: str, steps: int) -> float:
    """Return the processor seconds an image after some steps to warm up."""
    import torch
    from torch import nn

    torch.set_num_threads(1)

    def hidden(inputs: int, outputs: int, stride: int = 1) -> list[Any]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU()]

    def doubled(inputs: int, outputs: int) -> list[Any]:
        if upsampling == "shuffle":
            return [nn.Conv2d(inputs, 4 * outputs, 3, 1, 1), nn.PixelShuffle(2), nn.ReLU()]
        if upsampling == "transposed":
            return [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        return [nn.Upsample(scale_factor=2, mode="nearest"), *hidden(inputs, outputs)]

    layers: list[Any] = []
    inputs = 3
    for outputs in channels:
        layers += [*hidden(inputs, outputs, 2), *hidden(outputs, outputs)]
        inputs = outputs
    smallest = side // 2 ** len(channels)
    size = inputs * smallest**2
    layers += [nn.Flatten(), nn.Linear(size, CODE), nn.ReLU(), nn.Linear(CODE, size), nn.ReLU()]
    layers += [nn.Unflatten(1, (inputs, smallest, smallest))]
    for outputs in (*channels[-2::-1], channels[0]):
        layers += [*doubled(inputs, outputs), *hidden(outputs, outputs)]
        inputs = outputs
    layers += [nn.Conv2d(inputs, 3, 3, 1, 1), nn.Sigmoid()]
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    images = torch.rand(steps * BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    started = 0.0
    for epoch in range(2):
        order = torch.randperm(len(images))[: (5 * BATCH if epoch == 0 else None)]
        started = time.process_time()
        for rows in order.split(BATCH):
            batch = images[rows]
            optimizer.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
    return (time.process_time() - started) / len(images)


CONTESTANTS = {"ae": train_ae, "torch": train_torch}


def measure(python: str, name: str, network: str, upsampling: str, steps: int) -> float:
    """Return the processor milliseconds an image of one training in a process of its own."""
    command = [python, __file__, "--contestant", name, "--network", network, "--upsampling", upsampling]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "--steps", str(steps)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-500:]}")
    return 1000 * float(done.stdout.split()[-1])


def compare(torch: str, pairs: int, steps: int) -> list[dict[str, Any]]:
    rows = []
    for network in NETWORKS:
        for upsampling in UPSAMPLING:
            print(f"{network}, {upsampling} ...", file=sys.stderr, flush=True)
            count = max(10, steps * 32**2 // NETWORKS[network][1] ** 2)
            times: dict[str, list[float]] = {"ae": [], "torch": []}
            for _ in range(pairs):
                for name, python in (("ae", sys.executable), ("torch", torch)):
                    times[name].append(measure(python, name, network, upsampling, count))
            rows.append({"network": network, "upsampling": upsampling, **times})
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of docs/performance.md."""
    lines = [
        "| network | upsampling | ae, ms / image | PyTorch, ms / image | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ours, theirs = row["ae"], row["torch"]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        cells = [row["network"], row["upsampling"], *(" ".join(f"{t:.2f}" for t in times) for times in (ours, theirs))]
        lines.append(f"| {' | '.join(cells)} | {ratio:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--json", type=Path)
    for hidden in ("--contestant", "--network", "--upsampling"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        channels, side = NETWORKS[options.network]
        print(CONTESTANTS[options.contestant](channels, side, options.upsampling, options.steps))
        return
    rows = compare(options.torch, options.pairs, options.steps)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
