"""The Keithley 2600B family: Lua inside the instrument (TSP), two channels."""
