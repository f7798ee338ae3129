"""Owns a run: opens the rig, programs, solves, keeps the record, and leaves every line grounded."""
