"""A long load, cut into windows: how fast latency, memory, clocks and heat move, each with an interval."""
