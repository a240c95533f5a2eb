#!/usr/bin/env python3
"""The people and machines of a small shop, as Step Functions activity workers in plain boto3; where that is not installed,
the few calls they need are made by hand.

    python workers.py --endpoint http://127.0.0.1:8083

Each activity has its own pollers. A worker may be handed the same task twice (it was killed before it could answer,
or the answer was lost), so each step is idempotent: what was done is written to a ledger under a key of the business
(the order and the item), and a second request finds it there and answers the same. The workers outlive a server that
restarts, and end gracefully on SIGTERM or Ctrl-C: what they hold is answered, and nothing new is taken.
"""
import argparse
import hashlib
import json
import os
import signal
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    boto3, BotoCoreError = None, OSError

    class ClientError(Exception):
        def __init__(self, response):
            super().__init__(response)
            self.response = response


class TaskFailed(Exception):
    """An outcome the workflow knows by name and handles in a Retry or a Catch."""

    def __init__(self, error, cause):
        super().__init__(cause)
        self.error = error


class Ledger:
    """What was done, on disk, so that it survives the workers and is never done twice."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, result TEXT NOT NULL)")
        self.db.execute("CREATE TABLE IF NOT EXISTS attempts (key TEXT PRIMARY KEY, n INTEGER NOT NULL)")
        self.db.execute("CREATE TABLE IF NOT EXISTS handed_out (token TEXT, activity TEXT, key TEXT, answered INTEGER)")

    def once(self, key, do):
        """The result of `do`, which runs only if no earlier call under this key came to a result."""
        with self.lock:
            row = self.db.execute("SELECT result FROM done WHERE key = ?", (key,)).fetchone()
        if row:
            return json.loads(row[0])
        result = do()
        with self.lock:
            self.db.execute("INSERT OR IGNORE INTO done VALUES (?, ?)", (key, json.dumps(result)))
        return result

    def attempt(self, key):
        """How often this was tried before."""
        with self.lock:
            self.db.execute("INSERT INTO attempts VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET n = n + 1", (key,))
            return self.db.execute("SELECT n FROM attempts WHERE key = ?", (key,)).fetchone()[0] - 1

    def taken(self, token, activity, key):
        with self.lock:
            self.db.execute("INSERT INTO handed_out VALUES (?, ?, ?, 0)", (token, activity, key))

    def answered(self, token):
        with self.lock:
            self.db.execute("UPDATE handed_out SET answered = answered + 1 WHERE token = ?", (token,))


def number(*parts):
    """A short stable number made of what it stands for."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:8]


class ByHand:
    """What these workers need of a Step Functions client. Unsigned: a server on this machine takes that."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def call(self, operation, request):
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AWSStepFunctions.{operation}"}
        request = urllib.request.Request(self.endpoint, json.dumps(request).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=70) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            code = json.load(error).get("__type", "").rsplit("#")[-1]
            raise ClientError({"Error": {"Code": code}}) from None

    def get_activity_task(self, **request):
        return self.call("GetActivityTask", request)

    def send_task_success(self, **request):
        return self.call("SendTaskSuccess", request)

    def send_task_failure(self, **request):
        return self.call("SendTaskFailure", request)

    def send_task_heartbeat(self, **request):
        return self.call("SendTaskHeartbeat", request)


def client_of(endpoint, region, account):
    if boto3 is None:
        return ByHand(endpoint)
    return boto3.client(
        "stepfunctions",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="not-checked",
        # A poll takes up to 60 s; and a lost answer to a poll must not be asked for again behind our back.
        config=Config(read_timeout=70, retries={"total_max_attempts": 1}, max_pool_connections=64),
    )


# The steps. Each takes the task's input, the ledger and a function to call while the work takes long.


def reserve_stock(task, ledger, heartbeat):
    if task["item"]["sku"] == "unobtainium":
        raise TaskFailed("OutOfStock", "Nobody has any unobtainium.")
    time.sleep(0.2)
    return {"sku": task["item"]["sku"], "reservation": number(task["orderId"], task["item"]["sku"])}


def charge_card(task, ledger, heartbeat):
    if task["card"] == "card-without-money":
        raise TaskFailed("CardDeclined", f"{task['amountCents']} cents are more than the card is good for.")
    if task["card"] == "card-with-a-shaky-network" and ledger.attempt("network/" + task["orderId"]) < 2:
        raise TaskFailed("CardNetworkError", "The card network hung up.")
    time.sleep(0.3)
    return {"chargeId": "charge-" + number(task["orderId"]), "amountCents": task["amountCents"]}


def pack_item(task, ledger, heartbeat):
    for _ in range(4):
        time.sleep(0.15)
        heartbeat()
    return {"parcel": task["parcel"], "sku": task["item"]["sku"], "wrapping": task.get("wrapping", "paper")}


def ship(task, ledger, heartbeat):
    time.sleep(0.3)
    return {"carrier": task["carrier"], "trackingId": "track-" + number(task["orderId"], task["carrier"])}


def notify(task, ledger, heartbeat):
    time.sleep(0.1)
    return {"to": task["to"], "said": task["message"]}


def release_stock(task, ledger, heartbeat):
    time.sleep(0.2)
    return {"released": [item["sku"] for item in task["items"]]}


def refund(task, ledger, heartbeat):
    time.sleep(0.2)
    return {"refunded": task["orderId"]}


# Per activity: the step, and the key under which it is done once.
STEPS = {
    "reserve-stock": (reserve_stock, lambda t: f"{t['orderId']}/{t['item']['sku']}"),
    "charge-card": (charge_card, lambda t: t["orderId"]),
    "pack-item": (pack_item, lambda t: t["parcel"]),
    "ship": (ship, lambda t: t["orderId"]),
    "notify": (notify, lambda t: t["orderId"]),
    "release-stock": (release_stock, lambda t: t["orderId"]),
    "refund": (refund, lambda t: t["orderId"]),
}


class Workers:
    def __init__(self, client, ledger, name):
        self.client, self.ledger, self.name = client, ledger, name
        self.stopping = threading.Event()
        self.busy = 0
        self.changed = threading.Condition()

    def poll(self, activity, arn):
        """Takes task after task of one activity until asked to stop."""
        while not self.stopping.is_set():
            try:
                task = self.client.get_activity_task(activityArn=arn, workerName=self.name)
            except (BotoCoreError, ClientError):
                # The server is not there (yet, or it restarts), or nobody has created the activity so far.
                self.stopping.wait(0.2)
                continue
            if task.get("taskToken"):
                with self.changed:
                    self.busy += 1
                try:
                    self.work(activity, task)
                finally:
                    with self.changed:
                        self.busy -= 1
                        self.changed.notify_all()

    def work(self, activity, task):
        token, request = task["taskToken"], json.loads(task["input"])
        step, key_of = STEPS[activity]
        key = f"{activity}/{key_of(request)}"
        self.ledger.taken(token, activity, key)

        def heartbeat():
            try:
                self.client.send_task_heartbeat(taskToken=token)
            except (BotoCoreError, ClientError):
                pass  # the answer will tell whether the task is still wanted

        try:
            result = self.ledger.once(key, lambda: step(request, self.ledger, heartbeat))
        except TaskFailed as failure:
            self.answer(activity, key, token, error=failure.error, cause=str(failure))
        else:
            self.answer(activity, key, token, output=json.dumps(result))

    def answer(self, activity, key, token, **answer):
        """Sends the answer until the server has taken it or does not want it any more."""
        send = self.client.send_task_success if "output" in answer else self.client.send_task_failure
        while True:
            try:
                send(taskToken=token, **answer)
                self.ledger.answered(token)
                self.say(f"{key}: {answer.get('error', 'done')}")
                return
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken"):
                    self.say(f"{key}: answered too late ({code})")
                    return
            except BotoCoreError:
                pass
            if self.stopping.wait(0.2):
                return

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def stop(self, *_):
        self.stopping.set()

    def run(self, arns, pollers):
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        for activity, arn in arns.items():
            for _ in range(pollers):
                # Daemons: a poll may hang for 60 s and holds nothing, so an ending process need not wait for it.
                threading.Thread(target=self.poll, args=(activity, arn), daemon=True).start()
        self.say(f"{self.name} works on {', '.join(arns)}")
        while not self.stopping.wait(0.5):
            pass
        with self.changed:
            self.changed.wait_for(lambda: self.busy == 0, timeout=8)
        self.say("all answered, going home")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.environ.get("AWS_ENDPOINT_URL_SFN", "http://127.0.0.1:8083")
    parser.add_argument("--endpoint", default=here, help="the server (default: %(default)s)")
    parser.add_argument("--region", default="us-east-1", help="must be that of the ARNs (default: %(default)s)")
    parser.add_argument("--account", default="000000000000", help="likewise (default: %(default)s)")
    parser.add_argument("--ledger", default="ledger.sqlite", help="where to note what is done (default: %(default)s)")
    parser.add_argument("--name", default=f"shop-{os.getpid()}", help="the worker's name in the history")
    parser.add_argument("--pollers", type=int, default=2, help="per activity (default: %(default)s)")
    a = parser.parse_args()
    client = client_of(a.endpoint, a.region, a.account)
    arns = {activity: f"arn:aws:states:{a.region}:{a.account}:activity:{activity}" for activity in STEPS}
    Workers(client, Ledger(a.ledger), a.name).run(arns, a.pollers)
    sys.stdout.flush()
    os._exit(0)  # the polls in flight are daemons inside C calls; do not wait for their interpreter clean-up


if __name__ == "__main__":
    main()
