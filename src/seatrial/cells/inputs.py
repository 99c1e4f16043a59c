"""The files that a trial reads again after they were hashed: a result must not stand under the digest of another file.

For: looking at them before and after each cell. Not for: what they are read for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seatrial.digests import HashedFile, looked_at_again
from seatrial.errors import DataError
from seatrial.model.file import ModelInfo

# Images, annotations and tags are everybody's.
COMMON = ""


class Inputs:
    """Files by the pipeline that reads them, as they were when they were hashed."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, HashedFile]] = {}

    def add(self, pipeline: str, files: Iterable[HashedFile]) -> None:
        """A file that is there already stays as it was first seen."""
        own = self._files.setdefault(pipeline, {})
        for file in files:
            own.setdefault(str(file.path), file)

    def changed(self, *pipelines: str) -> str:
        """Which files of these pipelines, or of all, are not what they were, for people; empty where none is."""
        found = []
        for pipeline in (COMMON, *pipelines):
            for name, before in self._files.get(pipeline, {}).items():
                try:
                    now = looked_at_again(before)
                except OSError as e:
                    found.append(f"{name} can no longer be read ({e.strerror})")
                    continue
                if now.sha256 == before.sha256:
                    # It may have been copied anew: not to be read again for every cell.
                    self._files[pipeline][name] = now
                else:
                    found.append(f"{name} changed (sha256 {before.sha256[:12]} became {now.sha256[:12]})")
        if not found:
            return ""
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return f"{'; '.join(found[:3])}{more} while this ran: restore it, or start a new run"

    def check(self, *pipelines: str) -> None:
        """DataError where `changed` finds any."""
        why = self.changed(*pipelines)
        if why:
            raise DataError(why)


def model_alone(info: ModelInfo) -> Callable[[], str]:
    """As Inputs.changed, of one model."""
    inputs = Inputs()
    inputs.add(COMMON, info.hashed)
    return inputs.changed
