"""A against B in lock-step: fresh processes that take turns."""
