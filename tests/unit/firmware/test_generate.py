"""Two tables, two generated sides each: drift is found, the C header compiles, words may change, fields may not."""

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hwloop.link import protocol as wire

PROJECT = Path(__file__).resolve().parents[3]
TABLES = ("firmware/protocol.toml", "firmware/wiring.toml")
GENERATED = ("firmware/src/protocol.h", "hwloop/link/protocol.py")
GENERATED_WIRING = ("firmware/src/wiring.h", "hwloop/mock/chips/wiring.py")


@pytest.fixture
def copy(tmp_path):
    """The generator with its tables and all outputs, to be changed at will."""
    for name in ("firmware/generate.py", *TABLES, *GENERATED, *GENERATED_WIRING):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def generate(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, folder / "firmware" / "generate.py", *arguments], capture_output=True, text=True, timeout=60
    )


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def wire_hash(text: str) -> int:
    spec = importlib.util.spec_from_file_location("generate", PROJECT / "firmware" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.wire_hash(text)


def test_what_is_committed_belongs_to_the_table():
    assert generate(PROJECT, "--check").returncode == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "differing"),
    [
        ("firmware/protocol.toml", "sample = 160", "sample = 161", GENERATED),
        ("firmware/src/protocol.h", "HWL_TICKS_SAMPLE 160u", "HWL_TICKS_SAMPLE 16u", ["firmware/src/protocol.h"]),
        ("hwloop/link/protocol.py", "TICKS_SAMPLE = 160", "TICKS_SAMPLE = 16", ["hwloop/link/protocol.py"]),
        ("firmware/wiring.toml", "FEEDBACK = 9", "FEEDBACK = 10", GENERATED_WIRING),
        ("firmware/src/wiring.h", "PIN_LDAC 2u", "PIN_LDAC 3u", ["firmware/src/wiring.h"]),
        ("hwloop/mock/chips/wiring.py", "PIN_LDAC = 2", "PIN_LDAC = 3", ["hwloop/mock/chips/wiring.py"]),
    ],
)
def test_drift_is_found_and_written_anew(copy, name, old, new, differing):
    change(copy / name, old, new)
    checked = generate(copy, "--check")
    assert checked.returncode == 1 and checked.stderr.count("\n") == 1
    assert all(path in checked.stderr for path in differing)
    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "READ"\nid = 6', 'name = "READ"\nid = 5', "ids must differ"),
        ('name = "READ"\nid = 6', 'name = "READ"\nid = 134', "below the reply bit"),
        ('name = "averages", type = "u16", doc = "samples of one part"', 'name = "sub_averages", type = "u8"', "twice"),
        ("reply_cache = 16", "reply_cache = 15", "at least twice max_in_flight"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(copy, old, new, says):
    change(copy / "firmware" / "protocol.toml", old, new)
    refused = generate(copy)
    assert refused.returncode != 0 and says in refused.stderr


def test_the_hash_ignores_words_but_no_field():
    text = (PROJECT / "firmware" / "protocol.toml").read_text()
    assert wire_hash(text) == wire.WIRE_HASH
    for old, new in [
        ("# 1 ms\n", "# one millisecond\n"),
        ('doc = "rows of one array"', 'doc = "how many rows an array has"'),
        ("[session]\n", "\n\n# The session.\n[session]\n"),
        ("rows = 128", "rows  =  128"),
    ]:
        assert old in text and wire_hash(text.replace(old, new, 1)) == wire.WIRE_HASH
    for old, new in [
        ("width_ticks = 10_000", "width_ticks = 10_001"),
        ('name = "rows", type = "u16"', 'name = "rows", type = "u32"'),
        ('name = "rows", type = "u16"', 'name = "lines", type = "u16"'),
        ("RESET = 1  ", "RESET = 3  "),
        ("max_in_flight = 4", "max_in_flight = 5"),
        ('words = "row, code ..."', 'words = "code, row ..."'),
    ]:
        assert old in text and wire_hash(text.replace(old, new, 1)) != wire.WIRE_HASH


def test_the_c_header_compiles_and_agrees_with_the_python_side(tmp_path):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc: install it to compile the wire table's C side")
    table = tomllib.loads((PROJECT / "firmware" / "protocol.toml").read_text())
    numbers = {
        "HWL_WIRE_HASH": wire.WIRE_HASH, "HWL_COMMAND_PULSE": wire.Command.PULSE,
        "HWL_STATUS_SAFE_LATCHED": wire.Status.SAFE_LATCHED, "HWL_LIMIT_PULSE_ENERGY": wire.LIMIT_PULSE_ENERGY,
        "HWL_PULSE_SECTION_BYTES": wire.PulseSection.STRUCT.size,
        "HWL_DESCRIBE_REPLY_BYTES": wire.DescribeReply.STRUCT.size,
        "HWL_IDENTIFY_REPLY_BOARD_NAME": 18, "HWL_READ_REQUEST_SPREAD_CODE": 4, "HWL_REFUSAL_VALUE": 4,
        "HWL_HEADER_BYTES": 6, "HWL_BOARD_16X4_COLUMNS": 4,
        "HWL_SEQUENCED_COMMANDS": sum(1 << kind for kind in wire.SEQUENCED),
    }
    assert len(table["command"]) == len(wire.Command)
    checks = "\n".join(f'_Static_assert({name} == {int(value)}u, "{name}");' for name, value in numbers.items())
    (tmp_path / "check.c").write_text(f'#include "protocol.h"\n{checks}\nint main(void) {{ return 0; }}\n')
    compiled = subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror",
         f"-I{PROJECT / 'firmware' / 'src'}", "-c", tmp_path / "check.c", "-o", tmp_path / "check.o"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert compiled.returncode == 0, compiled.stderr
