"""What stands in an account of types where the runtime does not tell. For: backends, which count, and records of them."""

# Among the names of types: of these products nobody knows it. More words may follow, such as what goes in.
UNTOLD = "unknown"


def is_untold(kind: str) -> bool:
    return kind.startswith(UNTOLD)
