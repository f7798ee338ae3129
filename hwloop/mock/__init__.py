"""The simulated bench: devices, circuit and board behind the same ports as the real ones."""
