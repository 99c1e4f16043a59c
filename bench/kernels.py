"""How much faster are the native kernels than the code that people write without them, and how near to the memory floor?

python bench/kernels.py [--runs 2] [--max-time 3]     one thread; ratios of interleaved rounds; prints markdown

A ratio is the median over rounds of peer / ours (of the fastest peer in its group), with its 95 % interval; for a floor it
is ours / floor. The last column is the target that this project set itself.
"""

from __future__ import annotations

import argparse

import cv2
import skimage.data

from seatrial.contests.kernels import contests
from seatrial.contests.table import run_contest
from seatrial.machine.environment import cpu_model

SIZES = [(640, 480), (1280, 720), (1920, 1080), (3840, 2160)]
AT_LEAST = {
    ("letterbox 640 × 480", "as written"): 4, ("letterbox 1280 × 720", "as written"): 4,
    ("letterbox 1920 × 1080", "as written"): 3, ("letterbox 3840 × 2160", "as written"): 2,
    ("letterbox 640 × 480", "buffers reused"): 3, ("letterbox 1280 × 720", "buffers reused"): 3,
    ("letterbox 1920 × 1080", "buffers reused"): 2.5, ("letterbox 3840 × 2160", "buffers reused"): 1.5,
    **{(f"ImageNet eval {w} × {h}", "as written"): 4 for w, h in SIZES},
    **{(f"32 letterboxes {w} × {h}, 2 threads", "itself"): 1.8 for w, h in SIZES},
    ("YOLOv8 head 84 × 8400, 600 candidates", "vectorised"): 15,
    ("softmax and top 5 of 64 × 1000", "as written"): 5, ("softmax and top 5 of 64 × 1000", "tuned by hand"): 5,
    ("argmax of 21 × 512 × 512 to 1920 × 1080", "as written"): 5,
    ("argmax of 21 × 512 × 512 to 1920 × 1080", "tuned by hand"): 5,
    ("argmax of 21 × 128 × 128 drawn out to 1280 × 720", "as written"): 5,
    ("argmax of 21 × 128 × 128 drawn out to 1280 × 720", "tuned by hand"): 5,
}  # fmt: skip
AT_MOST = {**{f"letterbox {w} × {h}": 1.6 for w, h in SIZES}, "YOLOv8 head 84 × 8400, 600 candidates": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--max-time", type=float, default=3.0, help="seconds a contest")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    photograph = cv2.cvtColor(skimage.data.coffee(), cv2.COLOR_RGB2BGR)
    for run in range(given.runs):
        print(f"\nRun {run + 1}, {cpu_model()}, OpenCV {cv2.__version__}\n")
        print("| work | ours | against | theirs | ratio | 95 % | target |\n|---|---|---|---|---|---|---|")
        for contest in contests(photograph, SIZES):
            for line in run_contest(contest, given.max_time):
                target = f"≥ {AT_LEAST[key]:g}" if (key := (line.work, line.group)) in AT_LEAST else ""
                if line.is_floor and line.work in AT_MOST:
                    target = f"≤ {AT_MOST[line.work]:g}"
                low, high = ("?" if end is None else f"{end:.2f}" for end in line.interval)
                print(
                    f"| {line.work} | {line.ours_s * 1e3:.3f} ms | {line.peer} ({line.group}) | {line.theirs_s * 1e3:.3f} ms "
                    f"| **{line.ratio:.2f}** | {low} – {high} | {target} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
