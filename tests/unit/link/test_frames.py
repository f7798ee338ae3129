"""Frames: what is encoded comes back from any split of the byte stream; damage is dropped and counted."""

import zlib

from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.link.frames import OVERHEAD_BYTES, Frame, FrameReader

byte, word = st.integers(0, 255), st.integers(0, 65535)
frames = st.builds(Frame, byte, byte, word, word, st.binary(max_size=600))


def test_a_frame_on_the_wire_byte_by_byte():
    wire_bytes = Frame(0x0C, 0, 0x1234, 7, b"\x00\x10\x00\x00").encode()
    body = bytes.fromhex("0c 00 34 12 07 00 00 10 00 00")
    assert cobs.decode(wire_bytes[:-1]) == body + zlib.crc32(body).to_bytes(4, "little")
    assert wire_bytes[-1] == 0 and 0 not in wire_bytes[:-1]


@given(st.lists(frames, max_size=6), st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_sent_arrives_however_the_stream_is_cut(sent, data):
    stream = b"".join(frame.encode() for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, arrived = FrameReader(), []
    for first, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        arrived += reader.feed(stream[first:stop])
    assert arrived == sent and reader.damaged == 0


@given(frames, frames, st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_byte_is_noticed_and_the_next_frame_survives(first, second, data):
    stream = bytearray(first.encode())
    at = data.draw(st.integers(0, len(stream) - 2))
    stream[at] ^= data.draw(st.integers(1, 255))
    reader = FrameReader()
    assert reader.feed(bytes(stream) + second.encode()) == [second]
    assert reader.damaged >= 1


def test_a_frame_longer_than_allowed_is_dropped_without_being_collected():
    reader = FrameReader(max_frame_bytes=64)
    fits, too_long = Frame(1, 0, 1, 1, b"x" * (64 - OVERHEAD_BYTES)), Frame(1, 0, 1, 2, b"x" * (65 - OVERHEAD_BYTES))
    assert reader.feed(fits.encode()) == [fits]
    assert reader.feed(too_long.encode() + fits.encode()) == [fits] and reader.damaged == 1
    for _ in range(100):
        assert reader.feed(b"\x11" * 1000) == []
        assert len(reader._rest) <= 64 + 2
    assert reader.feed(b"\0" + fits.encode()) == [fits] and reader.damaged == 2


def test_a_half_sent_frame_is_ended_by_a_delimiter():
    reader, frame = FrameReader(), Frame(5, 0, 9, 1, b"abc")
    assert reader.feed(frame.encode()[:6]) == []
    assert reader.feed(b"\0" + frame.encode()) == [frame] and reader.damaged == 1


def test_delimiters_alone_are_nothing():
    reader = FrameReader()
    assert reader.feed(b"\0\0\0") == [] and reader.damaged == 0


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_noise_is_never_a_frame_and_never_an_error(noise):
    assert FrameReader(256).feed(noise + b"\0") == []
