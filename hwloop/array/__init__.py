"""Arrays seen from the host: geometry, mapping, placement, reading, programming, the analog solver."""
