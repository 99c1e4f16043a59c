"""Writes rebuilt heads into a folder: python tools/heads/build.py FOLDER [PREFIX]."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from heads.all import HEADS, build

if __name__ == "__main__":
    folder, prefix = Path(sys.argv[1]), "".join(sys.argv[2:3])
    for name in HEADS:
        if name.startswith(prefix):
            print(build(name, folder / name))
