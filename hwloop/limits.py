"""Bounds of what may be asked for, where they are no board's: a board states its own limits, over the wire."""

SEED_MAX = 2**32 - 1
