"""What a set of samples says, and how sure it is. Pure functions of numbers: no clocks, no files."""

from seatrial.stats.sample import Estimate, effective_count, percentile_estimate, samples_needed

__all__ = ["Estimate", "effective_count", "percentile_estimate", "samples_needed"]
