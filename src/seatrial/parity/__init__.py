"""Do two cells agree? Tensors, decoded results, and the task metric against ground truth. Not for: speed."""
