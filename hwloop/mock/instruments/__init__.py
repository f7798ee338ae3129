"""Simulated bench instruments: they speak what their manuals say and measure whatever hangs at their terminals."""
