"""Results out: one JSON document on stdout, or text for people on stderr."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, Protocol

from hwloop.cli.context import wants_json
from hwloop.cli.frame import OutputError
from hwloop.errors import GoalNotReachedError


class Result(Protocol):
    """What a controller function gives: for programs, for people, and which goal was missed, if any."""

    goal_missed: str | None

    def document(self) -> dict[str, Any]: ...

    def text(self) -> str: ...


def emit(result: Result) -> None:
    """Print `result`. Raises GoalNotReachedError afterwards where it missed its goal."""
    if wants_json():
        _write_document(json.dumps(_plain(result.document()), allow_nan=False))
    else:
        sys.stderr.write(result.text().rstrip("\n") + "\n")
    if result.goal_missed:
        raise GoalNotReachedError(result.goal_missed)


def _write_document(document: str) -> None:
    """Raises OutputError where stdout does not take it, BrokenPipeError where its reader has gone."""
    try:
        sys.stdout.write(document + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the result to stdout: {error.strerror}; send it elsewhere") from error


def _plain(value: Any) -> Any:
    """JSON has neither numpy's types nor infinities: plain types, and null for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
