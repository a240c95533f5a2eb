"""Jobs under kill -9: an execution that another waits for is stopped with it, whenever the server dies, and only once."""
import json
from collections import Counter

from harness import client_of, create, history, types, wait_for_status, wait_until

ROUNDS = 5
PARENTS = 9
CHILD = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}


def parent(child, **more):
    return {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn": child, "Input": {"n.$": "$.n"}} | more, "End": True}}}


def children_of(sfn, child, status=None):
    only = {"statusFilter": status} if status else {}
    pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=child, **only)
    return [item for page in pages for item in page["executions"]]


def test_children_of_stopped_parents_are_stopped_over_kills(own_server):
    server = own_server
    sfn = client_of(server)
    child = create(sfn, "child", CHILD)
    machine = create(sfn, "parent", parent(child))
    arns = {"at once": [], "later": [], "after a kill": []}
    for round in range(ROUNDS):
        begun = {kind: [] for kind in arns}
        for n in range(PARENTS):
            kind = list(arns)[n % 3]
            name = f"p{round}-{n}"
            arn = sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"n": name}))["executionArn"]
            begun[kind].append(arn)
            if kind == "at once":
                # Its child is being started.
                sfn.stop_execution(executionArn=arn)
        for arn in begun["later"]:
            wait_until("the child is started", lambda: "TaskSubmitted" in types(history(sfn, arn)))
            sfn.stop_execution(executionArn=arn)
        # Some children are being stopped, and of some it is not written down yet that they were started.
        server.kill()
        server.start()
        for arn in begun["after a kill"]:
            sfn.stop_execution(executionArn=arn)
        if round % 2:
            server.kill()
            server.start()
        for kind, some in begun.items():
            arns[kind] += some
    for arn in sum(arns.values(), []):
        wait_for_status(sfn, arn, "ABORTED", 30)
    wait_until("no child runs on", lambda: not children_of(sfn, child, "RUNNING"), 60)
    all_children = children_of(sfn, child)
    assert set(item["status"] for item in all_children) == {"ABORTED"}

    def number(arn):
        return json.loads(sfn.describe_execution(executionArn=arn)["input"])["n"]

    numbers = Counter(number(item["executionArn"]) for item in all_children)
    assert set(numbers.values()) == {1}, "no task started two"
    assert {number(arn) for arn in arns["later"]} <= set(numbers), "each of which the start was seen is there"
    for item in all_children:
        assert Counter(types(history(sfn, item["executionArn"])))["ExecutionAborted"] == 1


def test_an_execution_that_has_the_name_of_a_child_is_left_alone(own_server):
    server = own_server
    sfn = client_of(server)
    child = create(sfn, "child", CHILD)
    another = sfn.start_execution(stateMachineArn=child, name="taken", input='{"n":"mine"}')["executionArn"]
    machine = create(sfn, "parent", parent(child, Name="taken"))
    arn = sfn.start_execution(stateMachineArn=machine, name="p", input='{"n":"theirs"}')["executionArn"]
    failed = wait_for_status(sfn, arn, "FAILED", 30)
    assert failed["error"] == "StepFunctions.ExecutionAlreadyExistsException", failed
    for n in range(5):
        arn = sfn.start_execution(stateMachineArn=machine, name=f"s{n}", input='{"n":"theirs"}')["executionArn"]
        sfn.stop_execution(executionArn=arn)
    server.kill()
    server.start()
    # What comes for a child is done in order: had it been stopped, it would be by the time that this one is.
    own = create(sfn, "own", parent(child))
    arn = sfn.start_execution(stateMachineArn=own, name="o", input='{"n":"own"}')["executionArn"]
    wait_until("the child is started", lambda: "TaskSubmitted" in types(history(sfn, arn)))
    sfn.stop_execution(executionArn=arn)
    wait_until("its child is stopped", lambda: children_of(sfn, child, "ABORTED"), 60)
    assert sfn.describe_execution(executionArn=another)["status"] == "RUNNING"
