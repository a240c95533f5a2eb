"""A disk that fills up and comes back: new work is refused with 503 meanwhile, reads go on, and nothing that was
acknowledged is lost. On a small file system of its own, so that it needs root; else it is skipped and says so.
"""
import errno
import json
import os
import subprocess

import pytest
from botocore.exceptions import ClientError
from harness import PASS, WAIT, Server, check_chain, client_of, create, history, task, types, wait_for_status, wait_until

MEGABYTES = 96
# Enough for their answers to fill what the store keeps back.
TASKS = 120


def mounted(folder):
    """Mounts a small ext4 or, where there are no loop devices, tmpfs; returns why not, if not."""
    image, point = folder / "disk.img", folder / "disk"
    point.mkdir()
    with open(image, "wb") as f:
        f.truncate(MEGABYTES << 20)
    attempts = [
        (["mkfs.ext4", "-q", "-F", "-m", "0", image], ["mount", "-o", "loop", image, point]),
        (["true"], ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "stepwright-test", point]),
    ]
    for commands in attempts:
        try:
            for command in commands:
                subprocess.run(command, check=True, capture_output=True, text=True)
            return None
        except FileNotFoundError as error:
            reason = str(error)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip()
    return reason


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    reason = mounted(tmp_path)
    if reason:
        pytest.skip(f"a small file system cannot be mounted here: {reason}")
    try:
        yield tmp_path / "disk"
    finally:
        # Lazily: a process that hangs shall not keep the mount for ever.
        subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)


class Ballast:
    """A file that takes all the room there is, down to the last block."""

    def __init__(self, disk):
        self.path = disk / "ballast"

    def fill(self):
        with open(self.path, "ab", buffering=0) as f:
            for size in (1 << 20, 4096):
                try:
                    while f.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def remove(self):
        self.path.unlink()


def refusal(call, **request):
    """The answer to a call that finds no room; none if it found some."""
    try:
        call(**request)
        return None
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503, error
        return error.response["Error"]


class Work:
    """Executions of every kind, acknowledged one by one."""

    def __init__(self, server):
        self.sfn = client_of(server)
        self.activity = self.sfn.create_activity(name="work")["activityArn"]
        self.passes, self.waits = create(self.sfn, "passes", PASS), create(self.sfn, "waits", WAIT)
        self.tasks = create(self.sfn, "tasks", task(self.activity))
        short = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3, "End": True}}}
        self.naps = create(self.sfn, "naps", short)
        self.acknowledged = {}

    def start(self, machine, name, size=0):
        text = json.dumps({"name": name, "padding": "x" * size})
        arn = self.sfn.start_execution(stateMachineArn=machine, name=name, input=text)["executionArn"]
        self.acknowledged[arn] = text
        return arn

    def until_refused(self):
        """Starts executions, smaller and smaller, until there is no room for the smallest; the last refusal."""
        number = 0
        for size in (200_000, 20_000, 2_000, 0):
            refused = None
            while not refused:
                number += 1
                assert number < 20_000, "the disk never fills"
                refused = refusal(self.start, machine=self.passes, name=f"fill-{number}", size=size)
        return refused

    def answer(self, token, size=0):
        """Answers a task; the refusal, if there was one."""
        return refusal(self.sfn.send_task_success, taskToken=token, output=json.dumps("x" * size))

    def answer_until_refused(self):
        """Answers tasks at length until there is no room for that either: how many, the token left, the refusal."""
        for answered in range(TASKS):
            token = self.sfn.get_activity_task(activityArn=self.activity)["taskToken"]
            refused = self.answer(token, 250_000)
            if refused:
                return answered, token, refused
        raise AssertionError(f"{TASKS} answers of 250 kB found room")

    def check_reads(self):
        for arn, text in self.acknowledged.items():
            assert self.sfn.describe_execution(executionArn=arn)["input"] == text
        for arn in list(self.acknowledged)[:: len(self.acknowledged) // 20]:
            check_chain(history(self.sfn, arn))
        pages = self.sfn.get_paginator("list_executions").paginate(stateMachineArn=self.passes)
        listed = [execution["executionArn"] for page in pages for execution in page["executions"]]
        assert len(set(listed)) == len(listed)
        assert {arn for arn in self.acknowledged if ":passes:" in arn} <= set(listed)


@pytest.mark.parametrize("restart", [False, True], ids=["the server goes on", "the server is killed meanwhile"])
def test_a_disk_that_fills_up_and_comes_back(disk, restart):
    ballast = Ballast(disk)
    server = Server(disk / "data")
    # Its log lies on another disk, which has room.
    server.log_path = str(disk.parent / "server.log")
    with server:
        work = Work(server)
        sfn = work.sfn
        parked = [work.start(work.waits, f"parked-{i}") for i in range(5)]
        tasks = [work.start(work.tasks, f"task-{i}") for i in range(TASKS)]
        napping = [work.start(work.naps, f"nap-{i}") for i in range(5)]
        ballast.fill()

        # First new work is refused, and what is left is kept for work under way: tasks are still answered.
        refused = work.until_refused()
        assert refused["Code"] == "ServiceUnavailable", refused
        # Refused before it was tried, or by the store itself: either says why and what to do.
        assert "full" in refused["Message"] and "free some space" in refused["Message"], refused
        assert refusal(sfn.create_activity, name="one-more")
        work.check_reads()
        # Then there is no room for that either.
        answered, token, refused = work.answer_until_refused()
        assert f"the disk under {disk}/data" in refused["Message"] and "is full" in refused["Message"], refused
        assert "nothing was changed" in refused["Message"] and "free some space" in refused["Message"], refused
        if restart:
            server.kill()
            server.start()
        work.check_reads()
        for arn in parked + tasks[-5:]:
            assert sfn.describe_execution(executionArn=arn)["status"] == "RUNNING"
        assert refusal(work.start, machine=work.passes, name="still-full")
        process = server.process.pid

        ballast.remove()
        wait_until("there is room again", lambda: not refusal(work.start, machine=work.passes, name="again", size=200_000))
        assert not work.answer(token), "the answer that was refused"
        for _ in range(TASKS - answered - 1):
            queued = sfn.get_activity_task(activityArn=work.activity)
            assert "taskToken" in queued, "a task is neither answered nor queued"
            assert not work.answer(queued["taskToken"])
        for arn in napping + tasks:
            wait_for_status(sfn, arn, "SUCCEEDED")
        for i in range(20):
            work.start(work.passes, f"after-{i}", 20_000)
        assert server.process.pid == process and server.process.poll() is None, "all that without a restart"

        server.kill()
        server.start()
        work.check_reads()
        for arn in work.acknowledged:
            status = "RUNNING" if arn in parked else "SUCCEEDED"
            events = history(sfn, arn)
            check_chain(events)
            assert sfn.describe_execution(executionArn=arn)["status"] == status
            assert types(events)[0] == "ExecutionStarted"
