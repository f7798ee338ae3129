"""Every bad input: one line on stderr that says what, where and what to do, its exit code, and nothing left behind."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest


def png(width, height, pixels):
    """A PNG file of 1 bit a pixel that claims a size, whatever its pixels are."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.fixture
def files(inputs):
    """All that a careless person may hand over."""
    whole = Path("p.png").read_bytes()
    contents = {
        "text.png": b"hello", "cut.png": whole[: len(whole) // 2], "empty.png": b"",
        "huge.png": png(100_000, 100_000, b""), "large.png": png(12_000, 12_000, b""), "wrong.png": png(16, 16, b"\0"),
        "word.csv": b"1,2\n3,x\n", "empty.csv": b"", "ragged.csv": b"1,2\n3\n", "bytes.csv": bytes(range(256)),
        "twice.csv": b"u,i,r\na,b,3\na,b,4\n",
        "two.csv": b"u,i\na,b\n", "range.csv": b"a,b,9\n", "few.csv": b"a,b,3\n", "head.csv": b"user,item,rating\n",
        "nan.csv": b"a,b,nan\n", "taken": b"mine", "state": b"garbage", "bytes.toml": b"\xff\xfe",
        "key.toml": b"[bord]\n",
        "syntax.toml": b"[board\n", "value.toml": b'[program]\ntolerance = "x"\n', "table.toml": b"board = 3\n",
        "run.toml": b'application = "video"\n', "seed.toml": b'application = "image"\nseed = -1\n',
        "type.toml": b'application = "image"\n[image]\nrank = "two"\n', "not.hwnmf": b"HWNMF\x1a",
    }  # fmt: skip
    for name, content in contents.items():
        Path(name).write_bytes(content)
    arrays = {
        "negative": -np.ones((3, 3)), "nan": np.full((3, 3), np.nan), "words": np.array([["a"]]),
        "cube": np.ones((2, 3, 3)),
        "complex": np.ones((3, 3), complex), "none": np.zeros((0, 3)), "high": np.full((3, 3), 1e-3),
        "tall": np.full((200, 3), 1e-4), "wide": np.ones((40, 30)),
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(f"{name}.npy", values)
    Path("folder").mkdir()
    unknown = Path("unknown")
    unknown.mkdir()
    (unknown / "u.data").write_text("1\t1\t3\n1\t7\t3\n2\t1\t3\n2\t2\t3\n3\t1\t4\n")
    (unknown / "u.item").write_text("1|One\n2|Two\n")
    return inputs


IMAGE, MATRIX, RATINGS = "factorize image", "factorize matrix", "factorize ratings"
CASES = [
    (f"{IMAGE} text.png", 6, "text.png: not a picture that Pillow knows; give a photograph"),
    (f"{IMAGE} cut.png", 6, "cut.png: image file is truncated"),
    (f"{IMAGE} empty.png", 6, "empty.png is empty"),
    (f"{IMAGE} huge.png", 6, "huge.png: Image size (10000000000 pixels) exceeds limit"),
    (f"{IMAGE} large.png", 6, "large.png: Image size (144000000 pixels) exceeds limit"),
    (f"{IMAGE} wrong.png", 6, "wrong.png: image file is truncated"),
    (f"{IMAGE} absent.png", 6, "absent.png: No such file or directory; give a photograph"),
    (f"{IMAGE} folder", 2, "'folder' is a directory"),
    (f"{IMAGE} p.png --rank 0", 2, "rank is '0': expected a whole number, 1 or more"),
    (f"{IMAGE} p.png --rank 9", 2, "rank is 9, allowed 1 to 8 for a patch of 8x8"),
    (f"{IMAGE} hidden.npy", 6, "No such file"),
    (f"{IMAGE} --patch 32 --rank 17", 2, "rank is 17, allowed 1 to 16, the columns of this board; lower the rank"),
    (f"{IMAGE} p.png --patch 99", 2, "patch is 99 pixels, allowed 1 to 16 for a picture of 16x16"),
    (f"{IMAGE} p.png --iterations 0", 2, "iterations is '0': expected a whole number, 1 to 100000"),
    (f"{IMAGE} p.png --iterations 1e3", 2, "iterations is '1e3': expected a whole number"),
    (f"{IMAGE} p.png --seed -1", 2, "Invalid value for '--seed': -1 is not in the range 0<=x<=4294967295"),
    (f"{IMAGE} p.png --seed 99999999999999999999999", 2, "is not in the range 0<=x<=4294967295"),
    (f"{IMAGE} p.png --seed 1 --seed 2", 2, "--seed is given twice, as 1 and as 2"),
    (f"{IMAGE} p.png --run-file taken", 2, "taken exists and is not overwritten; choose another name"),
    (f"{IMAGE} p.png --run-file folder", 2, "'folder' is a directory"),
    (f"{IMAGE} p.png --run-file taken/run.h5", 2, "taken is no folder; choose another place"),
    (f"{IMAGE} p.png --pictures taken/pictures", 2, "taken is no folder; choose another place"),
    (f"{IMAGE} p.png --compressed taken", 2, "taken exists and is not overwritten"),
    (f"{IMAGE} p.png --compressed one --run-file one", 2, "one is named for two outputs of this image run"),
    (f"{IMAGE} p.png --state state", 6, "state: not the state of a simulated board"),
    (f"{IMAGE} p.png --state absent/state", 2, "[board] state is absent/state: there is no folder"),
    (f"{MATRIX} negative.npy", 6, "entry at row 0, column 0 (from 0) is -1, allowed finite and 0 or more"),
    (f"{MATRIX} nan.npy", 6, "nan.npy: entry at row 0, column 0 (from 0) is nan"),
    (f"{MATRIX} words.npy", 6, "words.npy holds <U1, allowed real numbers"),
    (f"{MATRIX} complex.npy", 6, "complex.npy holds complex128, allowed real numbers"),
    (f"{MATRIX} cube.npy", 6, "cube.npy has 3 dimensions (2, 3, 3), allowed 2"),
    (f"{MATRIX} none.npy", 6, "none.npy is empty, 0x3"),
    (f"{MATRIX} word.csv", 6, "word.csv line 2, entry 2 is 'x', not a number"),
    (f"{MATRIX} empty.csv", 6, "empty.csv is empty"),
    (f"{MATRIX} ragged.csv", 6, "ragged.csv line 2 has 1 entries, the first row has 2"),
    (f"{MATRIX} bytes.csv", 6, "bytes.csv is no text file"),
    (f"{MATRIX} p.png", 6, "p.png ends in '.png', allowed .npy, .npz, .csv"),
    (f"{MATRIX} absent.npy", 6, "absent.npy: No such file or directory"),
    (f"{MATRIX} m.npy --rank 0", 2, "rank is '0': expected a whole number, 1 or more"),
    (f"{MATRIX} m.npy --rank 10", 2, "rank is 10, allowed 1 to 9 for a 12x9 matrix; lower the rank"),
    (f"{MATRIX} wide.npy --rank 17", 2, "rank is 17, allowed 1 to 16, the columns of this board; lower the rank"),
    (f"{MATRIX} m.npy --tolerance nan", 2, "tolerance is 'nan': expected a number, 0 to 1"),
    (f"{MATRIX} m.npy --ridge inf", 2, "ridge is 'inf': expected a number, 0 or more"),
    (f"{MATRIX} m.npy --l1 -1", 2, "l1 is '-1': expected a number, 0 or more"),
    (f"{MATRIX} m.npy --start nndsvt", 2, "did you mean 'nndsvd'?"),
    (f"{MATRIX} m.npy --missing", 2, "m.npy stores every entry, so none is missing"),
    (f"{MATRIX} m.npy --factors out.txt", 2, "out.txt ends in '.txt', allowed .npz"),
    (f"{RATINGS} twice.csv", 6, "twice.csv line 3: user a rated item b already on twice.csv line 2"),
    (f"{RATINGS} two.csv", 6, "two.csv line 1 has 2 fields: expected user, item, rating"),
    (f"{RATINGS} range.csv", 6, "range.csv line 1: rating is '9', allowed 1 to 5"),
    (f"{RATINGS} nan.csv", 6, "nan.csv line 1: rating is 'nan', allowed 1 to 5"),
    (f"{RATINGS} few.csv", 6, "few.csv holds 1 ratings, at least 5 are needed"),
    (f"{RATINGS} empty.csv", 6, "empty.csv holds no ratings"),
    (f"{RATINGS} head.csv", 6, "head.csv holds no ratings"),
    (f"{RATINGS} bytes.csv", 6, "bytes.csv is no text file"),
    (f"{RATINGS} folder", 6, "folder holds neither u.data nor u1.test"),
    (f"{RATINGS} unknown", 6, "u.data line 2: item 7 is unknown to u.item"),
    (f"{RATINGS} absent", 6, "absent: No such file or directory"),
    (f"{RATINGS} ratings.csv --fold 6", 2, "fold is '6': allowed all, 1, 2, 3, 4, 5"),
    (f"{RATINGS} ratings.csv --rank 17", 2, "rank is 17, allowed 1 to 10 for 12 users and 10 items"),
    (f"{RATINGS} ratings.csv --ridge -0.1", 2, "ridge is '-0.1': expected a number, 0 or more"),
    ("array program high.npy", 4, "high.npy: conductance at row 0, column 0 (from 0) is 1000 uS, allowed 3 to 225 uS"),
    ("array program m.npy", 4, "uS, allowed 3 to 225 uS; nothing was pulsed; scale the matrix into the range"),
    ("array program negative.npy", 6, "entry at row 0, column 0 (from 0) is -1"),
    ("array program nan.npy", 6, "nan.npy has no number in it, so there is nothing to program"),
    ("array program tall.npy", 2, "a 200x3 matrix at row 0, column 0 does not fit: the chip has 128 rows"),
    ("array program c.npy --column 14", 2, "a 5x4 matrix at row 0, column 14 does not fit"),
    ("array program c.npy --row -1", 2, "-1 is not in the range x>=0"),
    ("array program c.npy --strategy ispav", 2, "did you mean 'ispva'?"),
    ("array program c.npy --tolerance 0", 2, "tolerance is '0': expected a number, 0.0005 to 0.5"),
    ("array program c.npy --unit mS", 2, "'mS' is not one of 'S', 'uS'"),
    ("array read taken", 2, "taken exists and is not overwritten"),
    ("array read out.txt", 2, "out.txt ends in '.txt', allowed .npy and .csv"),
    ("array read out.npy --rows 128", 2, "row is 128, allowed 0 to 127 on this chip"),
    ("array read out.npy --rows 3:1", 2, "'3:1' is empty"),
    ("array read out.npy --array C", 2, "'C' is not one of 'A', 'B', 'both'"),
    ("array show --picture out.jpg", 2, "out.jpg ends in '.jpg', allowed .png"),
    ("array mask --rows 3", 2, "simulated chip is forgotten at the end, and its map with it; keep it with"),
    ("array mask --rows 500 --state chip", 2, "row is 500, allowed 0 to 127 on this chip"),
    ("array mask --import twice.csv --state chip", 6, "expected array,row,column,status"),
    ("array mask --import absent.csv --state chip", 6, "absent.csv: cannot be read as a chip-status list"),
    ("array form --pristine", 4, "there is no terminal to ask at; pass --yes if it is meant"),
    ("array form --rows 500 --yes", 2, "row is 500, allowed 0 to 127 on this chip"),
    ("solve m.npy x.npy --ridge nan", 2, "'nan': expected a number, 0 or more"),
    ("solve m.npy c.npy", 6, "c.npy has 5 rows, m.npy has 12; both need one row a measurement"),
    ("solve x.npy y.npy --output out.txt", 2, "out.txt ends in '.txt', allowed .npy and .csv"),
    ("image decode p.png out.png", 6, "p.png is not a compressed picture of hwloop"),
    ("image decode not.hwnmf out.png", 6, "not.hwnmf is truncated"),
    ("image decode not.hwnmf out.jpg", 2, "out.jpg ends in '.jpg', allowed .png"),
    ("image decode absent out.png", 6, "absent: No such file or directory"),
    ("recommend --user 1", 6, "no ratings run in runs; make one with `hwloop factorize ratings`"),
    ("recommend --user 1 --run-file taken", 6, "taken cannot be read as a run file"),
    ("recommend --user 1 --top 0", 2, "0 is not in the range x>=1"),
    ("run run.toml", 2, "application is 'video': allowed image, ratings, matrix"),
    ("run seed.toml", 2, "seed is -1: allowed 0 to 4294967295"),
    ("run type.toml", 2, "type.toml [image]: rank is 'two': expected a whole number, 1 or more"),
    ("run absent.toml", 2, "cannot read absent.toml: No such file or directory"),
    ("board info --rig key.toml", 2, "key.toml: unknown key 'bord'; did you mean 'board'?"),
    ("board info --rig syntax.toml", 2, "syntax.toml is not TOML: "),
    ("board info --rig value.toml", 2, "value.toml [program]: tolerance is 'x': expected a number"),
    ("board info --rig table.toml", 2, "board is 3: expected a table [board]"),
    ("board info --rig bytes.toml", 2, "cannot read bytes.toml: not UTF-8"),
    ("board info --rig folder", 2, "no rig 'folder': neither a file nor one of default, ideal"),
    ("board info --serial-number 4294967296", 2, "serial is 4294967296: expected a whole number, 0 to 4294967295"),
    ("mock serve --port nonsense", 2, "port 'nonsense': expected pty, unix:PATH or tcp:HOST:PORT"),
    ("mock serve --port unix:taken/socket", 3, "unix:taken/socket: cannot listen there (Not a directory)"),
]


@pytest.mark.parametrize(("line", "exit_code", "text"), CASES, ids=[line for line, *_ in CASES])
def test_bad_input_is_one_line_and_an_exit_code_and_leaves_nothing(files, here, line, exit_code, text):
    before = snapshot(files)
    done = here(*line.split())
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("hwloop: error: ") and done.stderr.count("\n") == 1
    assert text in done.stderr
    assert snapshot(files) == before


@pytest.mark.parametrize("line", [f"{IMAGE} p.png", "array program c.npy"])
def test_a_pristine_chip_shows_only_when_it_is_pulsed_which_is_kept(files, here, line):
    done = here(*line.split(), "--pristine")
    journal_line, error = done.stderr.splitlines()
    assert done.returncode == 4 and "form it with `hwloop array form`" in error
    (left,) = Path("runs").iterdir()
    assert journal_line == f"hwloop: journal {left}"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("HWLOOP_SEED", "-1", "environment HWLOOP_SEED is '-1': expected a whole number, 0 to 4294967295"),
        ("HWLOOP_SEED", "٣", "expected a whole number"),
        ("HWLOOP_BACKEND", "fpga", "environment HWLOOP_BACKEND [board]: backend is 'fpga'"),
        ("HWLOOP_BOARD_RETRIES", "many", "retries is 'many': expected a whole number, 0 to 100"),
        ("HWLOOP_BOADR_PORT", "x", "did you mean 'HWLOOP_BOARD_PORT'?"),
        ("HWLOOP_RIG", "nowhere", "no rig 'nowhere'"),
        ("HWLOOP_PROGRAM_CONDUCTANCE_MAX", "100", "expected a number with a unit of siemens"),
        ("HWLOOP_PROGRAM_CONDUCTANCE_MAX", "100 V", "a value in volts: expected siemens"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, here, name, value, text):
    monkeypatch.setenv(name, value)
    done = here("board", "info")
    assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1


def test_a_file_that_may_not_be_read_is_told(inputs, here, workplace):
    os.chmod("p.png", 0)
    as_somebody_else(lambda: check_denied(here("factorize", "image", "p.png"), 6, "Permission denied"))


def test_a_folder_that_may_not_be_written_is_told_before_anything_is_driven(inputs, here, workplace):
    for folder in (workplace.parent.parent.parent, workplace.parent.parent, workplace.parent):
        os.chmod(folder, 0o755)
    os.chmod(workplace, 0o555)
    try:
        as_somebody_else(lambda: check_denied(here("factorize", "image", "p.png"), 2, "no right to write in"))
    finally:
        os.chmod(workplace, 0o755)


def check_denied(done, exit_code, text):
    assert (done.returncode, done.stderr.count("\n")) == (exit_code, 1)
    assert text in done.stderr


def as_somebody_else(action):
    """Root may read and write everything, so what is denied shows only without its rights."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        action()
    finally:
        os.seteuid(user)


def snapshot(folder):
    return {path: path.stat().st_size for path in folder.rglob("*")}
