"""`logs check|recover|export|report`: what can be done with a run that is kept, without its board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.controller.output_files import check_target
from hwloop.controller.plan import DryRun
from hwloop.controller.run_summary import RunSummary, summary_of
from hwloop.errors import DataError, UsageError
from hwloop.runlog.framing import RUN_FILE_SUFFIX
from hwloop.runlog.publish import publish
from hwloop.runlog.sources import RunSource, State, find_run


@dataclass(frozen=True)
class CheckResult:
    """A journal read from end to end: whole `records`, offset of the first bad byte, None where all is whole."""

    file: Path
    bytes: int
    records: int
    first_bad_offset: int | None
    goal_missed: None = None

    @property
    def ok(self) -> bool:
        """Whether every record is whole."""
        return self.first_bad_offset is None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "ok": self.ok, "records": self.records, "first_bad_offset": self.first_bad_offset, "file": self.file,
            "bytes": self.bytes,
        }

    def text(self) -> str:
        """For people."""
        return f"{self.file}: {self.records:,} records in {self.bytes:,} bytes, every CRC and number is right"

    def raise_if_bad(self) -> None:
        """Raises DataError where the journal is not whole, saying where and what to do."""
        if not self.ok:
            left = self.bytes - self.first_bad_offset
            raise DataError(
                f"{self.file}: bad from offset {self.first_bad_offset:,} on, {left:,} of {self.bytes:,} bytes; the "
                f"{self.records:,} records before that are whole and good, what is behind is torn or damaged and is "
                "not used; `hwloop logs recover` makes a run file of the whole part"
            )


@dataclass(frozen=True)
class WrittenFile:
    """What `recover`, `export` and `report` wrote; `facts` for programs, `what` for people."""

    run: str
    file: Path
    what: str
    facts: dict[str, Any]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"run": self.run, "file": self.file, **self.facts}

    def text(self) -> str:
        """For people."""
        return f"{self.file}: {self.what}"


def check_run(name: str) -> CheckResult:
    """Read the whole journal of a run. Of one that is being written, all that was there at the beginning is checked."""
    source = find_run(name)
    with source.journal() as journal:
        found = journal.check()
    return CheckResult(source.path, found.bytes, found.records, found.first_bad_offset)


def recover_run(name: str, target: Path | None, dry_run: bool = False) -> WrittenFile | DryRun:
    """Make a run file of what is whole of a journal.

    By default NAME.h5 beside the journal; NAME-recovered.h5 where that exists, or may still be written by the run.
    """
    from hwloop.runlog.run_file import write_run_file

    source = find_run(name)
    summary = summary_of(source)
    target = target or _free_target(source, summary)
    check_target(target, RUN_FILE_SUFFIX)
    if dry_run:
        return DryRun(f"write {target} from {summary.records:,} records of {source.path}")
    with source.journal() as journal:
        write_run_file(journal, target)
    partial = summary.result is None
    what = f"the run as far as it came, {summary.records:,} records, marked as partial" if partial else (
        f"the whole run, {summary.records:,} records"
    )
    return WrittenFile(source.name, target, what, {"records": summary.records, "partial": partial})


def export_run(name: str, folder: Path, form: str, dry_run: bool = False) -> WrittenFile | DryRun:
    """Everything of a run as CSV files or one .mat file in the new or empty `folder`."""
    import hwloop

    source = find_run(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; choose another place")
    if dry_run:
        return DryRun(f"write {source.name} as {form} into {folder}")
    # A journal will do: what it holds is decoded for the purpose.
    with hwloop.open_run(source.run_file or source.path) as run:
        if form == "csv":
            run.export_csv(folder)
        else:
            run.export_mat(folder / f"{source.name}.mat")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return WrittenFile(source.name, folder, f"{len(files)} files", {"format": form, "files": files})


def report_run(name: str, target: Path | None, dry_run: bool = False) -> WrittenFile | DryRun:
    """A page about a run, in one file; by default NAME.html beside the run."""
    from hwloop.controller.run_page import page_of

    source = find_run(name)
    target = target or source.path.with_suffix(".html")
    check_target(target, ".html", ".htm")
    if dry_run:
        return DryRun(f"write {target} about {source.path}")
    page = page_of(source).encode("utf-8", "replace")
    with publish(target) as file:
        file.write(page)
    return WrittenFile(source.name, target, f"{len(page) / 1e3:,.0f} kB, to be opened in a browser", {})


def _free_target(source: RunSource, summary: RunSummary) -> Path:
    """Never the place of a run file that an unfinished run writes when somebody goes on with it."""
    own = source.path.with_suffix(RUN_FILE_SUFFIX)
    is_finished = summary.state(source.is_written) is State.COMPLETE
    return own if is_finished and not own.exists() else own.with_name(f"{own.stem}-recovered{own.suffix}")
