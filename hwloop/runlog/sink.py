"""A file for HDF5 to write: the first failure is kept, what is written afterwards stays in memory.

HDF5 cannot take back a write that failed: it would try again at every close, also at the end of the program. So it is
told that all went well, and whoever writes the file asks `check` and gives it up.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

_PAGE_BYTES = 4096


class Sink(io.RawIOBase):
    """Seekable, readable and writable; `file` takes the bytes until a write fails."""

    def __init__(self, file: io.RawIOBase):
        self._file, self._position = file, 0
        self._failure: OSError | None = None
        self._pages: dict[int, bytearray] = {}

    def check(self) -> None:
        """Raises the first OSError of a write."""
        if self._failure is not None:
            raise self._failure

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            end = self._file.seek(0, io.SEEK_END)
            offset += max([end, *((page + 1) * _PAGE_BYTES for page in self._pages)])
        elif whence == io.SEEK_CUR:
            offset += self._position
        self._position = offset
        return offset

    def write(self, data) -> int:
        data = memoryview(data).cast("B")
        if self._failure is None:
            try:
                self._file.seek(self._position)
                written = 0
                while written < len(data):
                    written += self._file.write(data[written:])
            except OSError as failure:
                self._failure = failure
        if self._failure is not None:
            self._remember(data)
        self._position += len(data)
        return len(data)

    def readinto(self, buffer) -> int:
        buffer = memoryview(buffer).cast("B")
        count = self._read_into(buffer, self._position)
        if self._pages:
            buffer[count:] = bytes(len(buffer) - count)
            count = len(buffer)
            for page, start, stop, at in self._split(len(buffer)):
                if page in self._pages:
                    buffer[at : at + stop - start] = self._pages[page][start:stop]
        self._position += count
        return count

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        if self._failure is None:
            try:
                self._file.truncate(size)
            except OSError as failure:
                self._failure = failure
        return size

    def flush(self) -> None:
        if not self.closed and self._failure is None:
            try:
                self._file.flush()
            except OSError as failure:
                self._failure = failure

    def _remember(self, data: memoryview) -> None:
        for page, start, stop, at in self._split(len(data)):
            if page not in self._pages:
                self._pages[page] = bytearray(_PAGE_BYTES)
                self._read_into(memoryview(self._pages[page]), page * _PAGE_BYTES)
            self._pages[page][start:stop] = data[at : at + stop - start]

    def _read_into(self, buffer: memoryview, offset: int) -> int:
        self._file.seek(offset)
        count = 0
        while count < len(buffer) and (more := self._file.readinto(buffer[count:])):
            count += more
        return count

    def _split(self, size: int) -> Iterator[tuple[int, int, int, int]]:
        """(page, start, stop, offset in the data) of every page from here on that `size` bytes touch."""
        at = 0
        while at < size:
            page, start = divmod(self._position + at, _PAGE_BYTES)
            stop = min(_PAGE_BYTES, start + size - at)
            yield page, start, stop, at
            at += stop - start
