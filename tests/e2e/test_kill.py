"""The order example under kill -9: whenever the server dies, the order goes on where it was and ends as it should.

KILL_ROUNDS sets how many moments are tried (`cargo xtask kill --rounds N`).
"""
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections import Counter

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness import PASS, ROLE, check_chain, client_of, create, history, types, wait_for_status, wait_until

EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "order-fulfilment")
ROUNDS = int(os.environ.get("KILL_ROUNDS", "4"))
# The history of an undisturbed order has about this many events.
EVENTS = 95
MOMENTS = [1 + i * (EVENTS - 1) // ROUNDS for i in range(ROUNDS)]


def example(file):
    with open(os.path.join(EXAMPLE, file)) as f:
        return f.read()


class Shop:
    """The example on a server: its activities, its machine, its workers and their ledger."""

    def __init__(self, server, folder):
        self.server, self.sfn = server, client_of(server)
        self.ledger = str(folder / "ledger.sqlite")
        self.log_path = str(folder / "workers.log")
        for activity in ("reserve-stock", "charge-card", "pack-item", "ship", "notify", "release-stock", "refund"):
            self.sfn.create_activity(name=activity)
        self.machine = self.sfn.create_state_machine(
            name="order-fulfilment", definition=example("order-fulfilment.asl.json"), roleArn=ROLE
        )["stateMachineArn"]

    def __enter__(self):
        command = [sys.executable, os.path.join(EXAMPLE, "workers.py"), "--endpoint", self.server.endpoint]
        self.log = open(self.log_path, "ab")
        self.workers = subprocess.Popen(command + ["--ledger", self.ledger], stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.workers.terminate()
        assert self.workers.wait(20) == 0, "the workers end gracefully"
        self.log.close()

    def start(self, file, **changes):
        order = json.loads(example(file)) | changes
        order["shipping"]["pickupSeconds"] = 1
        return self.sfn.start_execution(stateMachineArn=self.machine, name="order", input=json.dumps(order))["executionArn"]

    def kill_at(self, execution, events):
        """Kills the server as soon as the history has that many events, and starts it again."""

        def reached():
            seen = history(self.sfn, execution)
            return len(seen) >= events or types(seen)[-1].startswith(("ExecutionS", "ExecutionF")) and len(seen) > 1

        wait_until(f"{events} events", reached, 60, pause=0.005)
        self.server.kill()
        self.server.start()

    def rows(self, query):
        with sqlite3.connect(self.ledger) as ledger:
            return ledger.execute(query).fetchall()


def check_tasks(events, shop, succeeded):
    """Every task came to one end, and none that was answered ran again."""
    check_chain(events)
    kinds = Counter(types(events))
    assert kinds["ActivitySucceeded"] == succeeded, kinds
    ended = kinds["ActivitySucceeded"] + kinds["ActivityFailed"] + kinds["ActivityTimedOut"]
    assert kinds["ActivityScheduled"] == ended, kinds
    after = {}
    for event in events:
        after.setdefault(event["previousEventId"], []).append(event["type"])
    for event in events:
        if event["type"] == "ActivitySucceeded":
            assert after[event["id"]] == ["TaskStateExited"], f"a task that was answered went on: {event}"
    handed_out = shop.rows("SELECT token, key, answered FROM handed_out")
    tokens = Counter(token for token, _, _ in handed_out)
    assert max(tokens.values()) == 1, "a task was handed out twice under one token"
    answers = Counter()
    for _, key, answered in handed_out:
        answers[key] += answered
    for key, count in answers.items():
        assert count <= (3 if key.startswith("charge-card/") else 1), f"{key} was answered {count} times"


def check_fulfilled(shop, execution):
    described = wait_for_status(shop.sfn, execution, "SUCCEEDED", 90)
    output = json.loads(described["output"])
    assert [parcel["parcel"] for parcel in output["parcels"]] == [f"order-1001/{i}" for i in range(3)]
    assert [parcel["wrapping"] for parcel in output["parcels"]] == ["bubble wrap", "paper", "bubble wrap"]
    assert [r["sku"] for r in output["booked"]["reservations"]] == ["teapot", "tea", "cups"]
    assert output["booked"]["chargeId"].startswith("charge-")
    assert output["shipment"]["carrier"] == "courier" and output["shipment"]["trackingId"] in output["notice"]["said"]
    events = history(shop.sfn, execution)
    check_tasks(events, shop, succeeded=3 + 1 + 3 + 1 + 1)
    done = dict(shop.rows("SELECT substr(key, 1, instr(key, '/') - 1), count(*) FROM done GROUP BY 1"))
    assert done == {"reserve-stock": 3, "charge-card": 1, "pack-item": 3, "ship": 1, "notify": 1}


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_order_is_fulfilled_whenever_the_server_is_killed(own_server, tmp_path, moment):
    shop = Shop(own_server, tmp_path)
    with shop:
        execution = shop.start("order.json")
        shop.kill_at(execution, moment)
        check_fulfilled(shop, execution)


def test_the_order_is_fulfilled_though_the_server_is_killed_again_and_again(own_server, tmp_path):
    shop = Shop(own_server, tmp_path)
    with shop:
        execution = shop.start("order.json")
        for moment in (10, 30, 50, 70, 85):
            shop.kill_at(execution, moment)
        check_fulfilled(shop, execution)


def test_a_declined_order_is_undone_though_the_server_is_killed(own_server, tmp_path):
    shop = Shop(own_server, tmp_path)
    with shop:
        execution = shop.start("order-declined.json")
        shop.kill_at(execution, 20)
        described = wait_for_status(shop.sfn, execution, "FAILED", 90)
        assert described["error"] == "CardDeclined" and "499900 cents" in described["cause"]
        events = history(shop.sfn, execution)
        check_chain(events)
        entered = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
        assert entered[-1] == "Not fulfilled" and {"Undo", "Release stock", "Refund", "Say sorry"} < set(entered)


def test_no_acknowledged_start_is_lost(own_server):
    machine = create(client_of(own_server), "starts", PASS)
    acknowledged, lock, enough = [], threading.Lock(), threading.Event()

    def start(worker):
        sfn = client_of(own_server)
        for i in range(10_000):
            name = f"w{worker}-{i}"
            try:
                arn = sfn.start_execution(stateMachineArn=machine, name=name, input=f'"{name}"')["executionArn"]
            except (BotoCoreError, ClientError):
                return
            with lock:
                acknowledged.append((name, arn))
                if len(acknowledged) >= 300:
                    enough.set()

    threads = [threading.Thread(target=start, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    assert enough.wait(60), f"only {len(acknowledged)} starts in 60 s"
    own_server.kill()
    for thread in threads:
        thread.join(30)
    own_server.start()
    sfn = client_of(own_server)
    for name, arn in acknowledged:
        described = wait_for_status(sfn, arn, "SUCCEEDED")
        assert described["input"] == f'"{name}"'
        events = history(sfn, arn)
        check_chain(events)
        assert types(events)[0] == "ExecutionStarted" and types(events)[-1] == "ExecutionSucceeded"
    pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
    listed = Counter(item["executionArn"] for page in pages for item in page["executions"])
    assert max(listed.values()) == 1 and {arn for _, arn in acknowledged} <= set(listed)
