"""The trial plan: what people write, checked. YAML in, frozen pydantic models out, precise errors.

For: reading, checking and writing plans, and looking into model files. Not for: running anything.
"""

from seatrial.plan.load import PlanFile, load_plan
from seatrial.plan.models import Plan

__all__ = ["Plan", "PlanFile", "load_plan"]
