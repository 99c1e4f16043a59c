"""One model or pipeline under a load: scenarios, rates, searches."""
