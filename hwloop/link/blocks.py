"""Where a reply of an instrument ends: at its line, or behind the block of bytes that it begins with."""

from __future__ import annotations


def line_length(arrived: bytes | bytearray) -> int:
    """Bytes of the first line of `arrived`, its end included; 0 while it is not all there."""
    return arrived.find(b"\n") + 1


def block_message_length(arrived: bytes | bytearray, expected_bytes: int) -> int:
    """Bytes of a block with the rest of its line; of the line, where `arrived` begins with no block; 0 while they are
    not all there."""
    begin, end = block_bounds(arrived, expected_bytes)
    if begin == 0:
        # The longest head is # and ten digits; what is longer and none is text.
        return line_length(arrived) if arrived[:1] != b"#" or len(arrived) > 11 else 0
    return arrived.find(b"\n", end) + 1 if len(arrived) > end else 0


def block_bounds(arrived: bytes | bytearray, expected_bytes: int) -> tuple[int, int]:
    """Where the bytes of a block (IEEE 488.2) begin and will end; (0, 0) where the head is none, or not all there.

    Definite length: "#", how many digits, the length in digits. Indefinite: "#0"; it states no length, so
    `expected_bytes` have to be known.
    """
    digits = arrived[1:2]
    if arrived[:1] != b"#" or not digits.isdigit():
        return 0, 0
    begin = 2 + int(digits)
    length = arrived[2:begin]
    if digits == b"0":
        return begin, begin + expected_bytes
    if len(length) < int(digits) or not length.isdigit():
        return 0, 0
    return begin, begin + int(length)
