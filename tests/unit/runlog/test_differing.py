"""Two exchanges side by side: the first difference is found, marked and shown with a few lines of its surroundings."""

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Status
from hwloop.runlog.bodies import ReplyFrame
from hwloop.runlog.differing import COLUMN_CHARACTERS, exchange_text, replies_differ, requests_differ
from tests.unit.drivers.describing import scales_of
from tests.unit.mock.talking import pulse_section, read_request

SCALES = scales_of("hwloop-16x4")
PULSE = (Command.PULSE, pulse_section(*range(40)))
READ = (Command.READ, read_request(*range(40)))


def test_equal_exchanges_do_not_differ():
    assert requests_differ([PULSE, READ], [PULSE, READ], SCALES) is None
    assert exchange_text([PULSE, READ, READ]) == "1 PULSE, 2 READ"


def test_the_first_frame_and_line_that_differ_are_marked():
    other = (Command.READ, read_request(*range(20), 50, *range(21, 40)))
    found = requests_differ([PULSE, READ], [PULSE, other], SCALES)
    lines = found.lines("recorded", "asked now")
    assert found.frame == 2
    assert [line for line in lines if line.startswith(">")] == [
        ">   row 5 column 0     row 12 column 2"
    ]
    assert lines[2].endswith("lines that are equal: READ, section 1") and lines[-1].endswith("more lines")
    assert len(lines) < 25 and all(len(line) <= 2 * COLUMN_CHARACTERS + 8 for line in lines)
    assert found.line() == ("READ, 90 bytes: row 5 column 0", "READ, 90 bytes: row 12 column 2")


def test_of_two_lengths_what_is_more_is_shown():
    found = requests_differ([READ], [(Command.READ, read_request(*range(41)))], SCALES)
    assert found.line() == ("READ, 90 bytes: word_count 40", "READ, 92 bytes: word_count 41")


def test_another_command_and_a_frame_too_few():
    found = requests_differ([PULSE], [READ], SCALES)
    assert found.first == 0 and found.line() == ("PULSE, 92 bytes", "READ, 90 bytes")
    found = requests_differ([PULSE, READ], [PULSE], SCALES)
    assert found.frame == 2 and found.line() == ("READ, 90 bytes", "(nothing)")
    assert found.lines("a", "b")[2].startswith("> READ, 90 bytes")


def test_bytes_without_a_meaning_are_shown_as_bytes():
    open_, other = b"\0" * 4 + b"\1", b"\0" * 4 + b"\2"
    found = requests_differ([(Command.HEARTBEAT, open_)], [(Command.HEARTBEAT, other)])
    assert found.line() == ("HEARTBEAT, 5 bytes: 5 more bytes: 00 00 00 00 01",
                            "HEARTBEAT, 5 bytes: 5 more bytes: 00 00 00 00 02")
    ticks, name = bytes(18), b"board" + bytes(10)
    one, two = ({0: ReplyFrame(0, 0, ticks + name + last)} for last in (b"\0", b""))
    assert replies_differ([(Command.IDENTIFY, b"")], one, one) is None
    assert "18" not in replies_differ([(Command.IDENTIFY, b"")], one, two).line()[0]


def test_replies_differ_in_a_value_a_status_or_in_being_there():
    def replies(*frames):
        return {frame.index: frame for frame in frames}

    request = [(Command.TEMPERATURE, b"")]
    warm, hot = (ReplyFrame(0, 0, wire.TemperatureReply(1, value).pack()) for value in (2500, 9000))
    refused = ReplyFrame(0, Status.SAFE_LATCHED, wire.Refusal(0, 0, 3, 0, 0).pack())
    found = replies_differ(request, replies(warm), replies(hot))
    assert [" ".join(line.split()) for line in found.line()] == [
        "TEMPERATURE reply, OK, 6 bytes: centicelsius 2500 (25.00 C)",
        "TEMPERATURE reply, OK, 6 bytes: centicelsius 9000 (90.00 C)",
    ]
    assert "SAFE_LATCHED" in replies_differ(request, replies(warm), replies(refused)).line()[1]
    assert replies_differ(request, replies(warm), {}).line()[1] == "no reply"
    unknown = ReplyFrame(0, 0, b"", unknown=True)
    assert "nobody knows" in replies_differ(request, replies(unknown), replies(warm)).line()[0]
