"""What a request's time goes to, by name, in the order of a row of samples. For: one vocabulary from the loop to the report.

Not for: which stages a request has. Whoever runs it says that; these are the names that others know a meaning for.
"""

from collections.abc import Sequence

DECODE, PREPROCESS, INFER, POSTPROCESS = "decode", "preprocess", "infer", "postprocess"
PIPELINE_STAGES = (DECODE, PREPROCESS, INFER, POSTPROCESS)
MODEL_STAGES = (INFER,)
# Of a model alone on a device that has a clock of its own: what the host does, then what the device did meanwhile. The device's
# lie within the host's, so that all of them together are no sum.
ENQUEUE, WAIT, H2D, COMPUTE, D2H = "enqueue", "wait", "h2d", "compute", "d2h"
ON_THE_DEVICE = (H2D, COMPUTE, D2H)
# A server's rows begin with the wait until a client was free.
QUEUE = "queue"
# Of a server too, but no column of its rows: all that comes behind the wait.
SERVICE = "service"
# The whole, by clock readings of its own.
END_TO_END = "end_to_end"


def kernel_column(stages: Sequence[str]) -> int:
    """Of a row of start, stages and the whole: where the model's kernels run, else the whole."""
    return next((1 + i for i, name in enumerate(stages) if name in (INFER, COMPUTE)), -1)
