"""What people do at a bench with a board, its instruments and a chip: calibrations and characterizations."""
