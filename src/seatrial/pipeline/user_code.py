"""A stage that is the user's own function, named 'module:function' in the plan. Runs only where it was allowed.

preprocess(image_hwc: uint8 array) -> array (1, ...) or dict of input name to array (1, ...)
postprocess(outputs: dict of name to array (B, ...), sizes_hw: list of (h, w)) -> list of one result an image
    (one of pipeline/results.KINDS, or None)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from seatrial.errors import CodeRefusedError, PlanError, option


def load_user_function(reference: str, folder: Path, stage: str, allow_code: bool) -> Callable[..., Any]:
    """The function, its module looked for beside the plan first. CodeRefusedError unless allowed."""
    if not allow_code:
        raise CodeRefusedError(
            f"the plan names Python code ({reference}) and would run it; read it, then give {option('allow_code')}",
            key=stage,
        )
    module_name, _, function_name = reference.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as e:
        raise PlanError(
            f"no module {e.name!r} for {reference!r}; expected it beside the plan in {folder} or installed", key=stage
        ) from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise PlanError(f"the module {module_name!r} has no function {function_name!r}", key=stage)
    return function  # type: ignore[no-any-return]
