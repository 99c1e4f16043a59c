"""What a model's head would be by the classes that are known, where the plan's task makes another number of them.

For: errors of counts, which name the task before they speak of labels. Not for: errors that the shapes alone give
(check_outputs.py), or a head's recognition (plan/heads.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from seatrial.errors import count_of
from seatrial.model.file import ModelInfo
from seatrial.plan import pipelines
from seatrial.plan.heads import recognise
from seatrial.plan.tasks import OBJECTS


def task_of_classes(
    spec: pipelines.Postprocess, model: ModelInfo, names: Sequence[str], judged: Collection[str] = OBJECTS
) -> str:
    """'with 1 class it looks like …; set task: pose, …'; '' where the plan says so already, or nothing built in reads it.

    names: of the classes, by labels or by the truth; none where they are not known. judged: tasks that may be named.
    """
    named = {"names": str(dict(enumerate(names)))} if names else {}
    told = replace(model, metadata={**model.metadata, **named})
    found = recognise(told, {})
    if found.head.task not in judged or (found.head.task == "detect" and not names):
        # Any columns could be classes.
        return ""
    keypoints = found.keypoints if found.keypoints and found.head.task == "pose" else None
    given = tuple(spec.keypoints) if spec.keypoints else None
    if found.head.task == spec.task and (keypoints is None or keypoints == given):
        return ""
    keys = [f"task: {found.head.task}", f"format: {found.head.format}"]
    keys += [f"keypoints: {list(keypoints)}"] if keypoints else []
    counted = f"with {count_of(len(names), 'class', 'classes')} " if names else ""
    return f"{counted}it looks like {found.head.words}; set {', '.join(keys)}"
