"""A picture in a terminal, two pixels a character. For: a glance. Not for: detail, which takes a file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.style import Style
from rich.text import Text

U8 = npt.NDArray[np.uint8]
UPPER_HALF = "▀"


def half_blocks(pixels_bgr: U8) -> list[Text]:
    """A line for two rows of an (H, W, 3) image; of an odd number the last stands alone."""
    rows = pixels_bgr[..., ::-1]
    return [_line(rows[k], rows[k + 1] if k + 1 < len(rows) else None) for k in range(0, len(rows), 2)]


def _line(upper: U8, lower: U8 | None) -> Text:
    text = Text(no_wrap=True)
    for column, above in enumerate(upper.tolist()):
        below = None if lower is None else Color.from_rgb(*lower[column].tolist())
        text.append(UPPER_HALF, Style(color=Color.from_rgb(*above), bgcolor=below))
    return text
