"""How close is close enough, where the plan says 'auto': by precision, and whether the runtime is the same one.

The fp32 pair is PyTorch's own test tolerance (torch.testing). For: defaults. Not for: measured floors.
"""

from __future__ import annotations

# rtol and atol; None: elementwise closeness means nothing, the task metric decides.
SAME_RUNTIME = {"fp32": (1.3e-6, 1e-5), "fp16": (1e-3, 1e-5), "bf16": (1.6e-2, 1e-5), "int8": None}
# Kernels of one runtime sum in another order at another batch size or thread count.
ACROSS = {"fp32": (1e-3, 1e-3), "fp16": None, "bf16": None, "int8": None}
LEAST_AGREEMENT = {"fp32": 0.99}
LEAST_AGREEMENT_REDUCED = 0.90


def automatic_tolerance(
    precision: str, reference_precision: str, same_configuration: bool
) -> tuple[float, float] | None:
    """(rtol, atol), or None where only the decoded results are to be judged."""
    if precision != reference_precision:
        return None
    return (SAME_RUNTIME if same_configuration else ACROSS).get(precision)


def least_agreement(precision: str) -> float:
    return LEAST_AGREEMENT.get(precision, LEAST_AGREEMENT_REDUCED)
