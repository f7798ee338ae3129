#!/usr/bin/env python3
"""A program where the firmware is expected: starts like it, answers each frame with that frame, does what it is told.

Frames of kind 101 make it end, 102 hang without looking at its streams, 103 swallow the frame; 104 is answered with the
reset cause that its chips told it. Nothing of hwloop is used.
"""

import os
import socket
import struct
import sys
import time
import zlib

from cobs import cobs

END, HANG, SWALLOW, TELL_CAUSE = 101, 102, 103, 104


def main(port: socket.socket, chips: socket.socket) -> int:
    if os.environ.get("STAND_IN_ENDS_WITH"):
        return int(os.environ["STAND_IN_ENDS_WITH"])
    chips.sendall(b"\x01\x01")
    hello = chips.recv(1000)
    rest = b""
    while data := port.recv(1 << 16):
        *blocks, rest = (rest + data).split(b"\0")
        for block in filter(None, blocks):
            try:
                body = cobs.decode(block)
            except cobs.DecodeError:
                continue
            if len(body) < 10 or struct.unpack("<I", body[-4:])[0] != zlib.crc32(body[:-4]):
                continue
            if body[0] == END:
                return 9
            if body[0] == HANG:
                time.sleep(1000)
            if body[0] == SWALLOW:
                continue
            chips.sendall(b"\x08")
            chips.recv(1000)
            payload = hello[10:11] if body[0] == TELL_CAUSE else body[6:-4]
            reply = bytes([body[0] | 0x80]) + body[1:6] + payload
            port.sendall(cobs.encode(reply + struct.pack("<I", zlib.crc32(reply))) + b"\0")
    return 0


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    sys.exit(main(socket.socket(fileno=int(options["--port-fd"])), socket.socket(fileno=int(options["--chips-fd"]))))
