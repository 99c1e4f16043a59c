"""Evidence to verdict, as pure functions: PASS, FAIL or INCONCLUSIVE, each with value, limit and reason."""
