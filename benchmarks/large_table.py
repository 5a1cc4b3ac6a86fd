"""A table of ten million rows: memory and time of ``derivcheck run``, and its epochs against a plain DataLoader loop.

    python -m benchmarks.large_table [ROWS] [CSV|PARQUET]

The plain loop reads the same file as a stream (csv.reader in an IterableDataset, or pyarrow's batches) and takes the same steps
with autograd and torch.optim.SGD.  Each of both reads the file and trains one epoch, in a process of its own.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import derivcheck as dc
from derivcheck.training.data import read_table

BATCH = 4096
NAMES = ["a", "b", "c", "y"]


def make(path: Path, rows: int) -> None:
    """A file of a noisy linear function of three columns."""
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, 1 << 18):
        x = rng.normal(size=(min(1 << 18, rows - start), 3))
        block = np.column_stack([x, x @ [1.0, -2.0, 0.5] + 3 + 0.1 * rng.normal(size=len(x))])
        if path.suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            table = pyarrow.table(dict(zip(NAMES, block.T)))
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
        else:
            with path.open("a") as f:
                f.write("" if start else ",".join(NAMES) + "\n")
                np.savetxt(f, block, fmt="%.5f", delimiter=",")
    if writer is not None:
        writer.close()


class Rows(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """The file as a user streams it: a row at a time of a CSV, a row of each batch of Parquet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.path.suffix == ".parquet":
            import pyarrow.parquet

            for batch in pyarrow.parquet.ParquetFile(self.path).iter_batches(batch_size=BATCH):
                block = torch.from_numpy(np.column_stack([batch.column(n).to_numpy() for n in NAMES])).float()
                yield from zip(block[:, :3], block[:, 3:])
            return
        with self.path.open(newline="") as f:
            reader = csv.reader(f)
            next(reader)
            for cells in reader:
                numbers = torch.tensor([float(c) for c in cells])
                yield numbers[:3], numbers[3:]


def plain(path: Path) -> None:
    """An epoch of the plain loop."""
    model, loss = nn.Linear(3, 1), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in DataLoader(Rows(path), batch_size=BATCH):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


def ours(path: Path) -> None:
    """The same with derivcheck: the check of one batch, then an epoch in shuffled batches."""
    table = read_table(path, ["y"], dtype=torch.float32)
    dc.train(nn.Linear(3, 1), nn.MSELoss(), table.x, table.y, lr=0.01, epochs=1, batch_size=BATCH, device="cpu")


def measured(what: str, path: Path) -> None:
    """Run one of them here, and print its seconds and the most memory that the process had."""
    start = time.perf_counter()
    {"plain": plain, "ours": ours}[what](path)
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Both in turn, then the whole command."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    ending = "parquet" if "PARQUET" in sys.argv[2:] else "csv"
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"rows.{ending}"
        make(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:.0f} MB as {ending}", flush=True)
        seconds = {}
        for what in ("ours", "plain"):
            command = [sys.executable, "-m", "benchmarks.large_table", "--measure", what, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[what], memory = map(float, done.stdout.split())
            print(f"{what:5}: {seconds[what]:.1f} s to read and train an epoch, {memory:.0f} MB", flush=True)
        print(f"ratio {seconds['ours'] / seconds['plain']:.2f}", flush=True)
        start = time.perf_counter()
        words = ["run", "--data", str(path), "--target", "y", "--dtype", "float32", "--epochs", "1", "--lr", "0.01"]
        subprocess.run([sys.executable, "-m", "derivcheck", *words, "--out", f"{name}/out"], check=True, capture_output=True)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"derivcheck run: {time.perf_counter() - start:.0f} s, at most {memory:.0f} MB in any of these processes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
