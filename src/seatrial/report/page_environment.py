"""How pages are made: templates beside this module, all that is put into them escaped, and their one style sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).parent


def page_environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style(*more: str) -> str:
    """report.css, and what a page has beyond it, by file name."""
    return "\n".join((FOLDER / name).read_text("utf-8") for name in ("report.css", *more))
