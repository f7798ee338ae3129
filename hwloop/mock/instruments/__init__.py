"""Simulated bench instruments: state machines that speak as their manuals say, behind sockets and pseudo-terminals."""
