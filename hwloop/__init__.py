"""hwloop: program, verify and compute with HfO2 memristor arrays, hardware in the loop."""

__version__ = "0.1.0"
