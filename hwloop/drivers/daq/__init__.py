"""Data acquisition units: one abstract class, one file a family."""
