"""Writes docs/faults.md from the catalogue: python tools/faults_page.py. A test holds the page against it."""

from pathlib import Path

from seatrial.faults.catalogue import FAULTS
from seatrial.faults.pictures import PICTURES

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"
STAGES = {
    "decoded": "Decoding",
    "resized": "Where pixels go",
    "input": "The tensor",
    "outputs": "The model and its runtime",
    "results": "Behind the model",
}
HEAD = """# Known mistakes

What `seatrial parity` looks for when two pipelines part. The names are stable: they stand in records and may be used in scripts.
`seatrial faults` lists them, `seatrial faults channel-order` explains one and shows right beside wrong (`--output fault.png` writes
that picture), and `seatrial faults --pictures FOLDER` writes the pictures at the end of this page.

*Reported* is what others measured, on their models and data; yours will differ.
"""


def page() -> str:
    parts = [HEAD]
    for stage, title in STAGES.items():
        parts.append(f"\n## {title}\n")
        for f in (f for f in FAULTS.values() if f.stage == stage):
            reported = f"\n- *Reported:* {f.reported}" if f.reported else ""
            parts.append(
                f"\n### `{f.name}`: {f.title}\n\n{f.is_}\n\n- *How it shows:* {f.shows}\n- *Cure:* {f.cure}{reported}\n"
                f"- *Seen with:* {f.telling}\n"
            )
    parts.append("\n## Pictures that tell them apart\n\n| picture | has | shows |\n|---|---|---|\n")
    for p in PICTURES:
        parts.append(f"| `{p.file}` | {p.has} | {', '.join(f'`{t}`' for t in p.tells) or '–'} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
