"""Counter-based randomness of the simulated bench: a 64-bit hash of what is drawn, so no draw depends on batching.

A *key* is a uint64 that names a stream (a chip, a cell, a pulse of a cell). `derive` makes a key from a key and a
counter; `uniform`, `signed_uniform`, `normal` and `exponential` turn a key into one number each, the same for ever.

Source of the mixer: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, 10.1145/2660193.2660195).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, vectorize

_WEYL = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_27, _SHIFT_30, _SHIFT_31, _SHIFT_32 = (np.uint64(shift) for shift in (27, 30, 31, 32))
_HALF_MASK = np.uint64(0xFFFFFFFF)
_UNIT_32, _UNIT_64 = 2.0**-32, 2.0**-64


@njit(cache=True, inline="always")
def mix(word):
    """A bijection of uint64 in which every output bit depends on every input bit."""
    word = (word ^ (word >> _SHIFT_30)) * _MULTIPLY_1
    word = (word ^ (word >> _SHIFT_27)) * _MULTIPLY_2
    return word ^ (word >> _SHIFT_31)


@njit(cache=True, inline="always")
def derive(key, counter):
    """The key (uint64) of draw number `counter` (integer) of the stream `key` (uint64)."""
    return mix(key + (np.uint64(counter) + np.uint64(1)) * _WEYL)


@njit(cache=True, inline="always")
def uniform(key):
    """Uniform in the open interval (0, 1)."""
    return (np.float64(key) + 0.5) * _UNIT_64 if key < np.uint64(0xFFFFFFFFFFFFFC00) else 1.0 - 2.0**-53


@njit(cache=True, inline="always")
def signed_uniform(key):
    """Uniform in [-1/2, 1/2)."""
    return np.float64(np.int64(key)) * _UNIT_64


@njit(cache=True, inline="always")
def normal(key):
    """Standard normal (Box-Muller on the two halves of the key; |value| < 6.8)."""
    radius = math.sqrt(-2.0 * math.log((np.float64(key >> _SHIFT_32) + 0.5) * _UNIT_32))
    return radius * math.cos(2.0 * math.pi * np.float64(key & _HALF_MASK) * _UNIT_32)


@njit(cache=True, inline="always")
def exponential(key):
    """Exponential with mean 1."""
    return -math.log(uniform(key))


def stream(*names: int) -> np.uint64:
    """The key of the stream named by integers of any size and sign, in order, e.g. (domain, serial, seed)."""
    key = 0
    for name in names:
        key = derive_many(np.uint64(key), np.uint64(name % 2**64))
    return np.uint64(key)


@vectorize(["uint64(uint64, uint64)"], cache=True)
def derive_many(key, counter):
    """`derive` over arrays of keys and counters; broadcasts."""
    return derive(key, counter)


@vectorize(["float64(uint64)"], cache=True)
def uniform_many(key):
    """`uniform` over an array of keys."""
    return uniform(key)


@vectorize(["float64(uint64)"], cache=True)
def normal_many(key):
    """`normal` over an array of keys."""
    return normal(key)
