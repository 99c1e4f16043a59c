"""Which of a model's inputs a built-in preprocess stage can feed."""

from __future__ import annotations

from seatrial.model.file import TensorInfo

# What the built-in preprocess gives.
DTYPES = ("float32", "float16", "uint8", "int8")


def unfed(tensor: TensorInfo) -> str:
    """Why the built-in preprocess cannot feed an input of that dtype, and the cure."""
    if tensor.dtype == "bfloat16":
        return f"input {tensor} takes bfloat16, which NumPy does not have; export the model with a float32 or float16 input"
    return (
        f"input {tensor} takes {tensor.dtype}, and the built-in preprocess gives {', '.join(DTYPES)}; write the plan by hand "
        f"with a Python preprocess stage that gives {tensor.dtype} (docs/plan.md), or export the model with one of those"
    )
