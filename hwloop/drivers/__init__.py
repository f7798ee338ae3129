"""Drivers: codes ↔ volts, amps and siemens; one instrument a file."""
