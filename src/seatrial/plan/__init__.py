"""The trial plan: what people write, checked. YAML in, frozen pydantic models out, precise errors.

For: reading, checking and writing plans, and guessing one from a model. Not for: reading model files (model) or running
anything.
"""

from seatrial.plan.load import PlanFile, load_plan
from seatrial.plan.models import Plan

__all__ = ["Plan", "PlanFile", "load_plan"]
