"""The file under HDF5: bytes go through until a write fails, then they stay in memory; only `check` says so."""

import errno
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.runlog.sink import Sink


class FullDisk(io.BytesIO):
    """Takes the first `room` bytes."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.binary(min_size=1, max_size=6000)), max_size=12),
    st.sampled_from([0, 5000, 10**6]),
)
def test_what_was_written_can_be_read_whether_the_disk_was_full_or_not(writes, room):
    sink, expected = Sink(FullDisk(room)), bytearray()
    for offset, data in writes:
        sink.seek(offset)
        assert sink.write(data) == len(data)
        expected.extend(bytes(max(offset + len(data) - len(expected), 0)))
        expected[offset : offset + len(data)] = data
    for offset, data in writes:
        sink.seek(offset)
        buffer = bytearray(len(data))
        assert sink.readinto(buffer) == len(data)
        assert buffer == expected[offset : offset + len(data)]


def test_the_first_failure_is_kept():
    sink = Sink(FullDisk(10))
    sink.write(b"12345678")
    sink.check()
    sink.write(b"12345678")
    sink.flush()
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            sink.check()
