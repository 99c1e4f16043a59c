"""What stands in an account of types where the runtime does not tell. For: backends, which count, and records of them."""

# Among the names of types: of these products nobody knows it.
UNTOLD = "unknown"
