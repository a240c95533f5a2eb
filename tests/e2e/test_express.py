"""Express executions through the real binary: none that was acknowledged is forgotten, whatever happens to the process."""
import json
import threading
import time
import urllib.request

import pytest
from harness import PASS, ROLE, client_of, wait_until

STARTS = 1000
THREADS = 16


def create_express(sfn, name, definition, **more):
    return sfn.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=ROLE, type="EXPRESS", **more
    )["stateMachineArn"]


def recorder(standard):
    """Waits a little, then starts a STANDARD execution with the name of its own: what shows that it came to its end."""
    return {
        "StartAt": "Wait",
        "States": {
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Record"},
            "Record": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sfn:startExecution",
                "Parameters": {"StateMachineArn": standard, "Name.$": "$$.Execution.Name", "Input.$": "$"},
                "Catch": [{"ErrorEquals": ["Sfn.ExecutionAlreadyExistsException"], "Next": "Again"}],
                "End": True,
            },
            "Again": {"Type": "Succeed"},
        },
    }


def recorded(sfn, standard):
    names, token = set(), {}
    while True:
        page = sfn.list_executions(stateMachineArn=standard, maxResults=1000, **token)
        names.update(item["name"] for item in page["executions"])
        if "nextToken" not in page:
            return names
        token = {"nextToken": page["nextToken"]}


def engine(server):
    with urllib.request.urlopen(server.endpoint + "/healthz", timeout=10) as answer:
        return json.load(answer)["engine"]


def sync_client(server):
    """SDKs put `sync-` before the host, which an address of a loopback does not take."""
    return client_of(server, inject_host_prefix=False)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_restart_in_the_middle_of_a_thousand_forgets_none(own_server, how):
    sfn = client_of(own_server)
    standard = sfn.create_state_machine(name="done", definition=json.dumps(PASS), roleArn=ROLE)["stateMachineArn"]
    machine = create_express(sfn, "recorder", recorder(standard))
    acknowledged, lock = [], threading.Lock()
    half = threading.Event()

    def start(numbers):
        client = client_of(own_server)
        for number in numbers:
            try:
                client.start_execution(stateMachineArn=machine, name=f"e{number}", input=json.dumps({"n": number}))
            except Exception:  # noqa: BLE001 - the server is gone: what was not answered need not have happened
                return
            with lock:
                acknowledged.append(f"e{number}")
                if len(acknowledged) >= STARTS // 2:
                    half.set()

    def start_all(numbers):
        threads = [threading.Thread(target=start, args=(numbers[i::THREADS],)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        return threads

    threads = start_all(list(range(STARTS)))
    assert half.wait(60), "half of them were started"
    # Some have recorded their end, some are about to, some wait, some are being started.
    if how == "kill":
        own_server.kill()
    else:
        assert own_server.stop() == 0
    for thread in threads:
        thread.join(60)
    before = set(acknowledged)
    assert len(before) >= STARTS // 2
    own_server.start()
    for thread in start_all([number for number in range(STARTS) if f"e{number}" not in before]):
        thread.join(60)
    assert len(set(acknowledged)) == STARTS
    wait_until("every one has ended", lambda: recorded(sfn, standard) >= set(acknowledged), 60)
    wait_until("none is open", lambda: (engine(own_server)["expressOpen"], engine(own_server)["expressWaiting"]) == (0, 0))
    # What ended does not run again. Their ends are written within a moment, and at a stop in any case.
    assert own_server.stop() == 0
    own_server.start()
    assert engine(own_server)["expressOpen"] == engine(own_server)["expressWaiting"] == 0


def test_one_that_is_waited_for_answers_boto3(server, name):
    sfn = sync_client(server)
    machine = create_express(sfn, name, {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
    answer = sfn.start_sync_execution(stateMachineArn=machine, name="n", input='{"a": [1, 2]}')
    assert (answer["status"], answer["output"]) == ("SUCCEEDED", '{"a": [1, 2]}')
    assert answer["billingDetails"] == {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": 100}
    assert answer["startDate"] <= answer["stopDate"]
    assert answer["executionArn"].startswith(machine.replace(":stateMachine:", ":express:") + ":n:")


def test_a_stop_lets_those_that_are_waited_for_end(own_server):
    sfn = client_of(own_server)
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3, "End": True}}}
    machine = create_express(sfn, "waits", wait)
    answers = []
    running = threading.Thread(
        target=lambda: answers.append(sync_client(own_server).start_sync_execution(stateMachineArn=machine))
    )
    running.start()
    wait_until("it runs", lambda: engine(own_server)["expressOpen"] == 1)
    begun = time.monotonic()
    assert own_server.stop() == 0
    assert time.monotonic() - begun < 15
    running.join(10)
    own_server.start()
    assert [answer["status"] for answer in answers] == ["SUCCEEDED"]


def test_slow_ones_hold_up_nobody(own_server):
    sfn = sync_client(own_server)
    long = "{% $sum([1..400000].($ * 2)) %}"
    slow = create_express(
        sfn,
        "slow",
        {"StartAt": "S", "QueryLanguage": "JSONata", "States": {"S": {"Type": "Pass", "Output": long, "End": True}}},
    )
    quick = create_express(sfn, "quick", {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
    for number in range(100):
        sfn.start_execution(stateMachineArn=slow, name=f"s{number}")
    times = []
    while len(times) < 40:
        begun = time.monotonic()
        assert sfn.start_sync_execution(stateMachineArn=quick)["status"] == "SUCCEEDED"
        times.append(time.monotonic() - begun)
    assert engine(own_server)["expressOpen"] > 50, "they are at it all the time"
    times.sort()
    assert times[len(times) // 2] < 0.1 and times[int(len(times) * 0.9)] < 0.5, times[-10:]
