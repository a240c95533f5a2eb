"""A data directory that is damaged, in use, or of a newer version: refused with a message that names what and where.

And the opposite: what a crash leaves behind an acknowledged record is no damage, and is cut without a question.
"""
import os
import random
import shutil
import subprocess
import zlib

import pytest
from harness import PASS, WAIT, Server, check_chain, client_of, create, free_port, history, types, wait_for_status

HEADER, RECORD = 32, 20
EXECUTIONS = 40


class Log:
    """The newest segment that holds records, read with nothing but its documented format."""

    def __init__(self, data):
        folder = os.path.join(data, "log")
        for name in sorted(os.listdir(folder), reverse=True):
            self.path = os.path.join(folder, name)
            with open(self.path, "rb") as f:
                self.bytes = bytearray(f.read())
            assert self.bytes[:5] == b"SWLOG", self.path
            self.salt = self.number(12, 4)
            self.records = list(self.walk())
            if self.records:
                return
        raise AssertionError(f"no segment in {folder} holds records")

    def number(self, at, size):
        return int.from_bytes(self.bytes[at : at + size], "little")

    def checksum(self, at, length):
        first = zlib.crc32(self.bytes[at : at + 4], self.salt)
        return zlib.crc32(self.bytes[at + 8 : at + length], first)

    def walk(self):
        """Offset and length of each record."""
        at = HEADER
        while at + RECORD < len(self.bytes) and self.number(at + 8, 8):
            length = RECORD + self.number(at, 4)
            assert self.checksum(at, length) == self.number(at + 4, 4), f"{self.path} at {at}"
            yield at, length
            at += length

    def write(self):
        with open(self.path, "wb") as f:
            f.write(self.bytes)


def serve(data, folder=None):
    """Serves a directory that is refused: the exit code and what it says."""
    command = [os.environ["STEPWRIGHT_BIN"], "serve", "--listen", f"127.0.0.1:{free_port()}", "--data-directory", str(data)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STEPWRIGHT_"))}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=folder, env=environment)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{data} was not refused; the server said: {error.stderr}") from None
    return ended.returncode, ended.stderr


def refused(data, *parts):
    code, said = serve(data)
    assert code == 1, (code, said)
    assert "panicked" not in said
    for part in parts:
        assert str(part) in said, f"{part!r} is missing in: {said}"


def files(data):
    """Every file below a directory with its bytes."""
    found = {}
    for folder, _, names in os.walk(data):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, data)] = f.read()
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A directory that a killed server left, and the executions in it in the order of their starts."""
    data = tmp_path_factory.mktemp("killed") / "data"
    with Server(data) as server:
        sfn = client_of(server)
        passes, waits = create(sfn, "passes", PASS), create(sfn, "waits", WAIT)
        executions = []
        for i in range(EXECUTIONS):
            machine = waits if i % 4 == 0 else passes
            # One after the other: each start is synced before the next is written.
            executions.append(sfn.start_execution(stateMachineArn=machine, name=f"e{i}", input=f"[{i}]")["executionArn"])
        server.kill()
    return data, executions


@pytest.fixture
def data(killed, tmp_path):
    """A copy to damage."""
    shutil.copytree(killed[0], tmp_path / "data")
    return tmp_path / "data"


def check_there(sfn, executions):
    for i, arn in enumerate(executions):
        described = sfn.describe_execution(executionArn=arn)
        assert described["input"] == f"[{i}]" and described["status"] == ("RUNNING" if i % 4 == 0 else "SUCCEEDED")
        events = history(sfn, arn)
        check_chain(events)
        assert types(events)[0] == "ExecutionStarted"


def check_opens(data, executions):
    """Opens the directory, finds these executions, does new work, and finds all of it again after another kill."""
    with Server(data) as server:
        sfn = client_of(server)
        check_there(sfn, executions)
        machine = sfn.describe_execution(executionArn=executions[1])["stateMachineArn"]
        after = sfn.start_execution(stateMachineArn=machine, name="after")["executionArn"]
        wait_for_status(sfn, after, "SUCCEEDED")
        server.kill()
        server.start()
        check_there(sfn, executions)
        wait_for_status(sfn, after, "SUCCEEDED")
        return server.said()


def zeros(log, at):
    log.bytes[at:] = bytes(len(log.bytes) - at)


def cut(log, at):
    del log.bytes[at:]


def garble(log, at):
    end = sum(log.records[-1])
    log.bytes[at:end] = random.Random(at).randbytes(end - at)


@pytest.mark.parametrize("tear", [zeros, cut, garble])
@pytest.mark.parametrize("where", ["all of it", "in its header", "in its middle", "its end"])
def test_a_torn_last_record_is_cut_and_nothing_before_it_is_lost(killed, data, tear, where):
    log = Log(data)
    at, length = log.records[-1]
    # Its last bytes may well be zeros: its end is where the last other byte is.
    end = len(log.bytes[at : at + length].rstrip(b"\0")) - 1
    tear(log, at + {"all of it": 0, "in its header": 7, "in its middle": length // 2, "its end": end}[where])
    log.write()
    # The last execution was in the record that the disk lost.
    said = check_opens(data, killed[1][:-1])
    if where != "all of it" or tear is garble:
        assert "cutting the remains of a batch that was never acknowledged" in said and f"offset={at}" in said, said


@pytest.mark.parametrize("length", [1, 19, 20, 700, 100_000])
def test_what_lies_behind_the_last_record_takes_nothing_with_it(killed, data, length):
    log = Log(data)
    end = sum(log.records[-1])
    log.bytes[end : end + length] = random.Random(length).randbytes(length)
    log.write()
    check_opens(data, killed[1])


def test_a_flipped_byte_in_an_earlier_record_is_refused_wherever_it_is(killed, data):
    log = Log(data)
    whole = bytes(log.bytes)
    chosen = random.Random(3)
    earlier = log.records[:-1]
    records = earlier[:3] + chosen.sample(earlier[3:-3], 6) + earlier[-3:]
    for at, length in records:
        # The fields of its header, the beginning and the end of its payload, and anywhere.
        for inside in (0, 2, 4, 9, 16, RECORD, length - 1, chosen.randrange(length)):
            log.bytes[:] = whole
            log.bytes[at + inside] ^= 1 << chosen.randrange(8)
            log.write()
            refused(data, log.path, f"is damaged at byte {at}:", "was not changed", "backup", "stepwright check")
    log.bytes[:] = whole
    log.write()
    check_opens(data, killed[1])


def test_a_flipped_byte_in_the_header_of_a_segment_is_refused(data):
    log = Log(data)
    for at in range(HEADER):
        log.bytes[at] ^= 0x10
        log.write()
        refused(data, log.path, "is damaged at byte 0:", "backup")
        log.bytes[at] ^= 0x10


def test_a_directory_that_is_refused_is_not_changed(data):
    log = Log(data)
    at, _ = log.records[2]
    log.bytes[at + RECORD] ^= 1
    log.write()
    before = files(data)
    refused(data, f"damaged at byte {at}:")
    assert {name: len(bytes) for name, bytes in files(data).items()} == {name: len(bytes) for name, bytes in before.items()}
    assert files(data) == before
    refused(data, f"damaged at byte {at}:")


def test_a_missing_segment_is_refused(data):
    log = Log(data)
    os.remove(log.path)
    refused(data, log.path, "this log segment is missing", "backup")


def test_a_second_process_is_refused_and_the_first_goes_on(own_server):
    sfn = client_of(own_server)
    machine = create(sfn, "mine", PASS)
    refused(own_server.data, own_server.data, "in use by another process", "stop that process", "--data-directory")
    wait_for_status(sfn, sfn.start_execution(stateMachineArn=machine)["executionArn"], "SUCCEEDED")
    # A lock that outlived its process would keep the directory for ever.
    own_server.kill()
    own_server.start()
    assert len(sfn.list_executions(stateMachineArn=machine)["executions"]) == 1


def test_the_directory_is_named_in_full(own_server):
    folder, name = os.path.split(own_server.data)
    code, said = serve(name, folder)
    assert code == 1 and own_server.data in said, said


def test_a_newer_format_is_refused(killed, data):
    path = data / "FORMAT"
    line = path.read_text()
    words, number = line.rsplit(maxsplit=1)
    path.write_text(f"{words} {int(number) + 1}\n")
    refused(data, data, f"has format {int(number) + 1}", f"up to format {number}", "run the version that wrote it")
    path.write_text(line)
    check_opens(data, killed[1])


def test_a_segment_of_a_newer_version_is_refused(data):
    log = Log(data)
    newer = log.number(8, 4) + 1
    log.bytes[8:12] = newer.to_bytes(4, "little")
    log.bytes[28:32] = zlib.crc32(log.bytes[:28]).to_bytes(4, "little")
    log.write()
    refused(data, log.path, f"has format {newer}", "run the version that wrote it")


def mutations(log, at, length):
    """Offset and length of each value that a record puts."""

    def take(at):
        size = shift = 0
        while True:
            byte = log.bytes[at]
            size |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return at, size

    here, end = at + RECORD, at + length
    while here < end:
        operation, here = log.bytes[here], here + 2
        key, size = take(here)
        here = key + size
        if operation != 2:
            value, size = take(here)
            here = value + size
            if operation == 1 and size:
                yield value


def test_rows_of_a_newer_version_are_refused(data):
    log = Log(data)
    for at, length in log.records:
        for value in mutations(log, at, length):
            assert log.bytes[value] == 1, "every row begins with the version of its format"
            log.bytes[value] = 2
        log.bytes[at + 4 : at + 8] = log.checksum(at, length).to_bytes(4, "little")
    log.write()
    refused(data, data, "has format 2", "up to format 1", "run the version that wrote it")
