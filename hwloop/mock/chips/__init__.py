"""The board's chips, simulated: what the C firmware talks to where there is no hardware."""
