"""What instruments read in a run: measured and journaled, or recorded, where the run is gone through again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from hwloop.controller.run import READING, Run
from hwloop.errors import DataError, ReplayEndError

Prepared = TypeVar("Prepared")


class Readings:
    """The readings of one run, strictly in order: recorded ones while there are any, then live ones. Without a run
    everything is measured and nothing kept."""

    def __init__(self, run: Run | None):
        self._run = run
        self._recorded = deque(run.recorded_readings() if run else [])

    def take(
        self, what: Mapping[str, Any], prepare: Callable[[], Prepared], measure: Callable[[], Mapping[str, np.ndarray]]
    ) -> tuple[Prepared, Mapping[str, np.ndarray]]:
        """What `prepare` gave, and the arrays of one reading. `what` (plain values) tells which one it is.

        `prepare` puts what is measured before the instrument, by exchanges with the board. Where a run was cut off
        between that and the reading it is done again, for the board may have been grounded meanwhile.
        Raises ReplayEndError where nothing is recorded any more and there is no instrument, DataError where something
        else was recorded.
        """
        was_settled, repeats = self._is_settled(), 0
        prepared = prepare()
        if self._recorded:
            event = self._recorded.popleft()
            told = dict(event.fields)
            repeats = told.pop("repeats")
            if told != what:
                raise DataError(f"recorded is an instrument's reading of {told}, the run asks for one of {dict(what)}")
            for _ in range(repeats):
                prepared = prepare()
            arrays = event.arrays
        else:
            self._require_instrument(what)
            while not was_settled:
                was_settled, repeats = self._is_settled(), repeats + 1
                prepared = prepare()
            arrays = measure()
        if self._run:
            self._run.event(READING, {**what, "repeats": repeats}, arrays)
        return prepared, arrays

    def _is_settled(self) -> bool:
        return self._run is None or self._run.is_settled

    def _require_instrument(self, what: Mapping[str, Any]) -> None:
        if self._run and self._run.is_over:
            raise ReplayEndError(
                f"the recording {self._run.name} has no further reading of an instrument, the run asks for one of "
                f"{dict(what)}, and there is no instrument in a replay; an unfinished run goes on with `hwloop logs "
                "resume`"
            )
