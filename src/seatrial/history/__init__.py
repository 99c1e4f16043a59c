"""Records of trials: frozen, versioned, append-only. For: writing, finding and reading results. Not for: making them."""
