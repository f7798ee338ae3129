"""One program a port, and `board safe` from another terminal. Holders are real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hwloop import holders
from hwloop.errors import DeviceError

# A holder that works until it is stopped, then takes a while to ground its board. Prints what it was stopped by.
PROGRAM = """
import sys, time
from hwloop import holders, signals
from hwloop.errors import StoppedError
key, exclusive, between_checks_seconds, grounding_seconds = sys.argv[1], sys.argv[2] == "1", *map(float, sys.argv[3:5])
with signals.deferred(), holders.hold(key, exclusive) as hold:
    print("holding", flush=True)
    try:
        while True:
            time.sleep(between_checks_seconds)
            signals.check()
    except (StoppedError, KeyboardInterrupt, signals.TerminatedRun) as reason:
        print(type(reason).__name__, flush=True)
    finally:
        with signals.shielded():
            time.sleep(grounding_seconds)
        hold.acknowledge_safe()
        print("grounded", flush=True)
        time.sleep(between_checks_seconds and 0.3)
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "hwloop"


@pytest.fixture
def start(registry):
    started = []

    def start_holder(key, exclusive=True, between_checks_seconds=0.01, grounding_seconds=0.0):
        arguments = [key, str(int(exclusive)), str(between_checks_seconds), str(grounding_seconds)]
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "holding\n"
        return process

    yield start_holder
    for process in started:
        process.kill()
        process.communicate()


def test_two_programs_on_one_port_the_second_is_told_who_has_it(start):
    first = start("/dev/ttyX")
    with pytest.raises(DeviceError, match=f"port /dev/ttyX is held by process {first.pid} .*board safe"):
        holders.hold("/dev/ttyX")
    holders.hold("/dev/ttyY").release()


def test_a_port_is_free_after_release_and_after_the_death_of_its_holder(start):
    with holders.hold("/dev/ttyX"):
        pass
    first = start("/dev/ttyX")
    first.kill()
    first.wait()
    assert holders.holders("/dev/ttyX") == []
    holders.hold("/dev/ttyX").release()


def test_private_simulated_boards_share_a_key(start):
    pids = {start("mock", exclusive=False).pid, start("mock", exclusive=False).pid}
    with holders.hold("mock", exclusive=False):
        assert {holder.pid for holder in holders.holders("mock")} == pids | {os.getpid()}


def test_every_holder_of_the_port_goes_safe_within_half_a_second_and_says_why(start):
    both = [start("mock", exclusive=False), start("mock", exclusive=False)]
    replies = holders.request_safe("mock")
    assert sorted(reply.holder.pid for reply in replies) == sorted(process.pid for process in both)
    assert all(reply.safe and reply.seconds < 0.5 for reply in replies)
    for process in both:
        assert process.communicate(timeout=5)[0] == "StoppedError\ngrounded\n"


def test_a_holder_far_from_the_end_of_its_exchange_is_not_waited_for(start):
    busy = start("/dev/ttyX", between_checks_seconds=30.0)
    (reply,) = holders.request_safe("/dev/ttyX")
    assert reply.safe and reply.seconds < 0.5
    assert busy.stdout.readline() == "StoppedError\n"


def test_repeated_requests_do_not_disturb_the_grounding(start):
    slow = start("/dev/ttyX", grounding_seconds=0.35)
    (reply,) = holders.request_safe("/dev/ttyX")
    assert reply.safe
    assert slow.communicate(timeout=5)[0] == "StoppedError\ngrounded\n"


def test_a_holder_that_does_not_answer_is_reported(start):
    stuck = start("/dev/ttyX", grounding_seconds=3.0)
    (reply,) = holders.request_safe("/dev/ttyX")
    assert not reply.safe and reply.holder.pid == stuck.pid


def test_nobody_holds_the_port(registry):
    assert holders.request_safe("/dev/ttyX") == []


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "InterruptedRun"), (signal.SIGTERM, "TerminatedRun")])
def test_a_first_signal_waits_for_the_end_of_the_exchange_and_a_second_does_not(start, number, name):
    polite, busy = start("one"), start("two", between_checks_seconds=30.0)
    polite.send_signal(number)
    assert polite.stdout.readline() == f"{name}\n"
    busy.send_signal(number)
    time.sleep(0.1)
    busy.send_signal(number)
    assert busy.stdout.readline() == f"{name}\n"


def test_links_to_one_port_are_one_port(tmp_path):
    port = tmp_path / "ttyACM0"
    port.touch()
    link = tmp_path / "by-id"
    link.symlink_to(port)
    assert holders.port_key(str(link)) == holders.port_key(str(port))
    assert holders.port_key(f"unix:{link}") == f"unix:{port}"


def test_a_registry_that_others_can_write_to_is_refused(registry):
    registry.mkdir(mode=0o777)
    registry.chmod(0o777)
    with pytest.raises(DeviceError, match="must be a folder of this user alone"):
        holders.hold("/dev/ttyX")
