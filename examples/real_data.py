"""scikit-learn's bundled linnerud (3 → 3) and diabetes (10 → 1), written as CSV and trained through the command.

scikit-learn is among the test tools: `make test` installs it.

    python examples/real_data.py [FOLDER]
"""

import csv
import subprocess
import sys
from pathlib import Path

from sklearn.datasets import load_diabetes, load_linnerud


def write(path: Path, header: list[str], rows: list[list[float]]) -> Path:
    with path.open("w", newline="") as f:
        csv.writer(f).writerows([header, *rows])
    return path


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    men = load_linnerud()
    linnerud = write(
        folder / "linnerud.csv",
        [*men.feature_names, *men.target_names],
        [[*map(float, a), *map(float, b)] for a, b in zip(men.data, men.target)],
    )
    patients = load_diabetes()
    diabetes = write(
        folder / "diabetes.csv",
        [*patients.feature_names, "progression"],
        [[*map(float, a), float(b)] for a, b in zip(patients.data, patients.target)],
    )
    targets = [t for name in men.target_names for t in ("--target", name)]
    for data, more in (
        (linnerud, [*targets, "--lr", "1", "--epochs", "200"]),
        (diabetes, ["--target", "progression", "--lr", "0.24", "--epochs", "5000"]),
    ):
        out = folder / data.stem
        command = [sys.executable, "-m", "derivcheck", "run", "--data", str(data), "--standardize", "--out", str(out), *more]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("derivcheck-out"))
