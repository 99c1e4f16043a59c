"""Inside two models: which nodes answer otherwise on equal inputs, and which must stay in fp32.

For: models that differ as a whole. Not for: the pipeline around them (diagnosis), or whether a difference counts (parity).
"""
