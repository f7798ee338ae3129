"""Source-measure units: one abstract class, one file a family."""
