"""Image files: found, read, decoded, checked."""
