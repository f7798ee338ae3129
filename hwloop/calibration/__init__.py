"""What is known of a board's converters and a chip's cells: records of calibrations, their store, and the constants."""
