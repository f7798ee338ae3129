"""Talking to a simulated instrument in tests, message by message."""

import numpy as np


def ask(instrument, message):
    """The answer to a message, without its terminator."""
    return instrument.say(message.encode() + b"\n").decode("latin-1").removesuffix("\n")


def numbers(instrument, message):
    """The numbers of an ASCII answer."""
    return np.array([float(part) for part in ask(instrument, message).split(",")])
