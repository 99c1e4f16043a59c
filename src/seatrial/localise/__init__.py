"""Inside two models: which nodes answer otherwise on equal inputs, and which must stay in fp32.

For: models that differ as a whole. Not for: the pipeline around them (diagnosis), or whether a difference counts (parity). Read
rule.py first.
"""

from seatrial.localise.job import models
from seatrial.localise.recipe import FoundRecipe, find_recipe
from seatrial.localise.result import InsideModel, Jump, OutputError, TensorError

__all__ = ["FoundRecipe", "InsideModel", "Jump", "OutputError", "TensorError", "find_recipe", "models"]
