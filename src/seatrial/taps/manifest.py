"""taps.json: which images a folder of taps has, and which stages of each. Schema seatrial.taps/1, see docs/taps.md.

For: the manifest as frozen data, read with a message for each of its faults. Not for: the arrays (folder.py).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from seatrial.errors import DataError, did_you_mean, printable, short_list
from seatrial.plan.fields import Precision

SCHEMA: Literal["seatrial.taps/1"] = "seatrial.taps/1"
FILE = "taps.json"
# Of an image in order of the pipeline; `outputs` stands for all of `output.NAME`.
STAGES = ("decoded", "resized", "input", "outputs", "candidates", "results")
OUTPUT = "output."
CANDIDATES = "candidates"
PICTURES, RESULTS = ("decoded", "resized"), (CANDIDATES, "results")
MOST_BYTES = 1 << 26
PRECISIONS: list[str] = list(get_args(Precision))
_FORM = "write stages as decoded, resized, input, output.NAME, candidates and results"


class _Frozen(BaseModel):
    """Keys that this version does not know are passed over: a later one may add some without a new number."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class TappedImage(_Frozen):
    """name: as the plan calls it. sha256: of the encoded file's bytes; '' where the producer knew none. file: its arrays, an
    .npz below the folder."""

    name: str = Field(min_length=1)
    sha256: str = ""
    file: str = Field(min_length=1)

    @field_validator("sha256", mode="after")
    @classmethod
    def _digest(cls, given: str) -> str:
        digest = given.lower()
        if digest and not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError(f"expected 64 hexadecimal digits, as sha256sum prints them, or '', got {given[:80]!r}")
        return digest

    @field_validator("file", mode="after")
    @classmethod
    def _below(cls, given: str) -> str:
        path = PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts or "\0" in given:
            raise ValueError(f"expected a path below the folder of taps.json, got {given!r}; keep every file in it")
        return given


class TapsManifest(_Frozen):
    """stages: of every image, in order. color: of the stages `decoded` and `resized`, where the producer says it. batch: images
    a run of the model had. precision: in which the model computed, and backend: by what, as seatrial calls them or in the
    producer's words; '' where it does not say. note: what is to be known of the whole, such as that it was broken off."""

    schema_: Literal["seatrial.taps/1"] = Field(SCHEMA, alias="schema")
    producer: str = ""
    stages: tuple[str, ...]
    color: dict[Literal["decoded", "resized"], Literal["bgr", "rgb", "gray"]] = {}
    batch: int | None = Field(None, ge=1)
    precision: str = ""
    backend: str = ""
    images: tuple[TappedImage, ...]
    note: str = ""

    @field_validator("stages", mode="after")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        known = [s for s in STAGES if s != "outputs"]
        for stage in given:
            if stage not in known and not (stage.startswith(OUTPUT) and len(stage) > len(OUTPUT)):
                raise ValueError(
                    f"no stage is called {stage!r}{did_you_mean(stage, [*known, OUTPUT + 'NAME'])}; {_FORM}"
                )
        if not given or len(set(given)) < len(given):
            raise ValueError(
                f"expected each stage that every image has, once, got {short_list(given) or 'none'}; {_FORM}"
            )
        return given

    @field_validator("precision", mode="after")
    @classmethod
    def _of_the_list(cls, given: str) -> str:
        if given and given not in PRECISIONS:
            raise ValueError(
                f"expected one of {', '.join(PRECISIONS)}, got {given[:80]!r}{did_you_mean(given, PRECISIONS)}; leave it out "
                "where it is not known"
            )
        return given

    @field_validator("images", mode="after")
    @classmethod
    def _distinct(cls, given: tuple[TappedImage, ...]) -> tuple[TappedImage, ...]:
        for what, values in (("name", [i.name for i in given]), ("file", [i.file for i in given])):
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                raise ValueError(f"{what} {twice[0]!r} stands there twice; give each image a {what} of its own")
        return given

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(s.removeprefix(OUTPUT) for s in self.stages if s.startswith(OUTPUT))

    def json_bytes(self) -> bytes:
        return (self.model_dump_json(by_alias=True, indent=1) + "\n").encode()


def read_manifest(path: Path) -> TapsManifest:
    """DataError where there is none, where it is damaged, or of a newer schema."""
    data = _json_of(path)
    _check_schema(path, data)
    try:
        return TapsManifest.model_validate(data)
    except ValidationError as e:
        first = e.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise DataError(printable(first["msg"].removeprefix("Value error, ")), subject=path, key=at) from None


def _json_of(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        # Reading a pipe would wait for ever.
        raise DataError(
            "expected a file, got something else; expected a folder of taps, see docs/taps.md", subject=path
        )
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise DataError(
                f"expected at most {MOST_BYTES} bytes, got {size}; arrays belong in files of their own", subject=path
            )
        data = json.loads(path.read_text("utf-8-sig"))
    except OSError as e:
        raise DataError(
            f"cannot be read: {e.strerror or e}; expected a folder of taps with taps.json in it, see docs/taps.md",
            subject=path,
        ) from None
    except (ValueError, RecursionError) as e:
        raise DataError(f"expected JSON, but it cannot be parsed ({e}); write it again", subject=path) from None
    if not isinstance(data, dict):
        raise DataError(f"expected a JSON object, got a {type(data).__name__}; see docs/taps.md", subject=path)
    return data


def _check_schema(path: Path, data: dict[str, Any]) -> None:
    given = data.get("schema")
    if given == SCHEMA:
        return
    number = re.fullmatch(r"seatrial\.taps/([1-9][0-9]{0,5})", given) if isinstance(given, str) else None
    cure = "use a newer seatrial" if number else f'write "schema": "{SCHEMA}"'
    raise DataError(f"expected schema {SCHEMA}, got {given!r}; {cure}", subject=path)
