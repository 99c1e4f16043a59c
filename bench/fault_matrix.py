"""Does `seatrial parity` name the mistake that was made, none where none was, and both of two?

python bench/fault_matrix.py [--kind faults] [--level taps] [--task detect] [--fault channel-order] [--images 16]
                             [--shard 1/4] [--resume] [--out matrix.jsonl] [--work /tmp/fault-matrix]

Every fault of the catalogue, written with other libraries (tools/faulty), in a detector, a classifier, a text detector and a
segmentation; wrong as recorded taps, as user code and as final answers only. Rows are appended to --out as they come; --resume
passes over those that are there. Prints the confusion matrix of each level, with rates and their exact 95 % intervals, and
writes it beside the rows. Variants that need simplejpeg are left out where it is not installed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from faulty.candidates import KINDS
from faulty.injections import UNSEEN
from faulty.injections.injection import LEVELS
from faulty.matrix.cells import all_cells
from faulty.matrix.rates import is_right, named_first, printed, summary, wrong_ones
from faulty.matrix.trial import ASKED, BROKE, Bench, row_of
from faulty.tasks import TASKS


def main() -> None:
    given = arguments()
    cells = all_cells(given.kind, given.level, given.task, given.fault, given.sets)
    number, parts = map(int, given.shard.split("/"))
    known = read_rows(given.out) if given.resume else {}
    if not given.resume:
        given.out.unlink(missing_ok=True)
    bench = Bench(given.work, given.images, given.timeout, given.max_time)
    if given.shuffle is not None:
        random.Random(given.shuffle).shuffle(cells)
    left = [c for k, c in enumerate(cells) if k % parts == number - 1 and c.key not in known]
    print(f"{len(cells)} cells, {len(left)} to do in shard {given.shard}", flush=True)
    for k, cell in enumerate(left, start=1):
        row = row_of(cell, bench)
        with given.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        known[cell.key] = row
        mark = ("right" if is_right(row) else "WRONG") if row["state"] in (ASKED, BROKE) else row["state"]
        print(
            f"{k}/{len(left)} {cell.key}: {mark} {named_first(row) if 'named' in row else row.get('said', '')[-160:]}",
            flush=True,
        )
    rows = [known[c.key] for c in cells if c.key in known]
    print(printed(rows))
    print("\nNot injected: " + "; ".join(f"{fault}: {why}" for fault, why in UNSEEN.items()))
    print(f"\nNot right:\n{wrong_ones(rows)}")
    given.out.with_suffix(".summary.json").write_text(json.dumps(summary(rows), indent=1))


def read_rows(path: Path) -> dict[str, dict]:
    """The last row of each cell; a line that was cut off is done again."""
    rows = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["key"]] = row
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", choices=KINDS, default=None, help="default: all")
    parser.add_argument("--level", action="append", choices=LEVELS, default=[], help="default: all")
    parser.add_argument("--task", action="append", choices=list(TASKS), default=[], help="default: all")
    parser.add_argument("--fault", default="", help="a fault, or FAULT/VARIANT")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--sets", type=int, default=4, help="sets of pictures for equal pairs")
    parser.add_argument("--shard", default="1/1", metavar="I/N")
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="in this order, so that a part is a fair sample")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a diagnosis")
    parser.add_argument(
        "--max-time", default="5 min", help="seatrial's own limit; longer where other work runs beside it"
    )
    parser.add_argument("--out", type=Path, default=Path("fault-matrix.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("/tmp/fault-matrix"), help="models, plans and pictures")
    given = parser.parse_args()
    given.kind = given.kind or list(KINDS)
    return given


if __name__ == "__main__":
    main()
