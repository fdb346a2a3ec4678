"""How good is the anomaly rule of examples/functions/shuttle.py? Prints precision and recall.

    .venv/bin/python bench/shuttle_score.py [--fit]

The rule's limits come from a tree of depth 3 that is fitted to every second row; ``--fit`` grows it
again and prints it, so that nobody has to believe the numbers in the example.
"""

import csv
import gzip
import runpy
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples" / "data" / "nasa-shuttle.csv.gz"
DEPTH = 3


def load():
    with gzip.open(DATA, "rt", newline="") as text:
        rows = csv.DictReader(text)
        return [{key: int(value) for key, value in row.items()} for row in rows]


def measure(name, score, rows):
    hits = sum(1 for row in rows if row["anomaly"] and score(row))
    alarms = sum(1 for row in rows if score(row))
    anomalies = sum(row["anomaly"] for row in rows)
    precision, recall = hits / alarms, hits / anomalies
    print(
        f"{name:>9}: {len(rows):>6} readings, {anomalies:>5} anomalies, {alarms:>5} found, "
        f"{alarms - hits:>3} false, precision {precision:.4f}, recall {recall:.4f}"
    )
    return precision, recall


def impurity(size, anomalies):
    return 2 * anomalies * (size - anomalies) / size if size else 0.0


def best_split(rows):
    size, total = len(rows), sum(row["anomaly"] for row in rows)
    best = None
    for column in (f"f{n}" for n in range(1, 10)):
        ordered = sorted((row[column], row["anomaly"]) for row in rows)
        below = anomalies = 0
        for (value, label), (following, _) in pairwise(ordered):
            below, anomalies = below + 1, anomalies + label
            if value != following:
                cost = impurity(below, anomalies) + impurity(size - below, total - anomalies)
                best = min(best or (cost, column, value), (cost, column, value))
    return best


def grow(rows, depth, indent=""):
    anomalies = sum(row["anomaly"] for row in rows)
    split = best_split(rows) if depth and 0 < anomalies < len(rows) else None
    if split is None:
        print(f"{indent}{len(rows)} readings, {anomalies} anomalies")
        return
    _, column, value = split
    for name, side in (("<=", True), (">", False)):
        print(f"{indent}{column} {name} {value}")
        grow([row for row in rows if (row[column] <= value) is side], depth - 1, indent + "    ")


def main():
    rows = load()
    score = runpy.run_path(str(ROOT / "examples" / "functions" / "shuttle.py"))["score"]
    if "--fit" in sys.argv[1:]:
        grow(rows[::2], DEPTH)
    measure("fitted on", score, rows[::2])
    precision, recall = measure("held out", score, rows[1::2])
    sys.exit(0 if precision >= 0.7 and recall >= 0.9 else 1)


if __name__ == "__main__":
    main()
