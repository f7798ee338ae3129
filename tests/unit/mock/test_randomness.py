"""Counter-based randomness: fixed for ever, independent of batching, and distributed as it says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwloop.mock.randomness import derive, derive_many, exponential, normal_many, stream, uniform_many

WORDS = st.integers(0, 2**64 - 1)
SAMPLE = derive_many(stream(7, 1, 0), np.arange(200_000, dtype=np.uint64))


def test_a_stream_is_the_same_on_every_machine_and_in_every_release():
    assert int(stream(1, 2, 3)) == 0x27d1dade99ddf6a4


@given(WORDS, st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_draws_do_not_depend_on_batching(key, counters):
    counters = np.array(counters, np.uint64)
    together = derive_many(np.uint64(key), counters)
    one_by_one = [derive(np.uint64(key), counter) for counter in counters]
    assert np.array_equal(together, np.array(one_by_one, np.uint64))


@given(WORDS)
def test_uniform_stays_inside_the_open_interval(key):
    assert 0.0 < uniform_many(np.uint64(key)) < 1.0
    assert np.isfinite(exponential(np.uint64(key)))
    assert abs(normal_many(np.uint64(key))) < 6.8


def test_distributions():
    uniform, normal = uniform_many(SAMPLE), normal_many(SAMPLE)
    assert abs(uniform.mean() - 0.5) < 0.003 and abs(uniform.var() - 1 / 12) < 0.001
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01
    assert 0.0015 < np.mean(np.abs(normal) > 3) < 0.004


def test_neighbouring_counters_and_streams_are_unrelated():
    uniform = uniform_many(SAMPLE)
    other = uniform_many(derive_many(stream(7, 1, 1), np.arange(SAMPLE.size, dtype=np.uint64)))
    assert abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 0.01
    assert abs(np.corrcoef(uniform, other)[0, 1]) < 0.01


def test_the_order_of_names_matters():
    assert len({int(stream(*names)) for names in ((1, 2, 3), (3, 2, 1), (1, 3, 2), (1, 2), (-1, 2))}) == 5
