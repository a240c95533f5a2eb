"""Executions that start executions, under kill -9: each child is started once, and its end is never missed."""
import json
from collections import Counter

from harness import client_of, create, history, types, wait_for_status, wait_until

PARENTS = 60
KILLS = 5
CHILD = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "P"},
         "P": {"Type": "Pass", "Parameters": {"n.$": "$.n", "done": True}, "End": True}}}


def parent(pattern, child):
    start = {"Type": "Task", "Resource": f"arn:aws:states:::states:startExecution{pattern}",
             "Parameters": {"StateMachineArn": child, "Input": {"n.$": "$"}}}
    return {"StartAt": "A", "States": {"A": start | {"ResultPath": "$.first", "InputPath": "$.n", "Next": "B"},
                                       "B": start | {"ResultPath": "$.second", "InputPath": "$.n", "End": True}}}


def test_children_are_started_once_and_heard_of_over_kills(own_server):
    server = own_server
    sfn = client_of(server)
    child = create(sfn, "child", CHILD)
    machines = {pattern: create(sfn, f"parent{i}", parent(pattern, child))
                for i, pattern in enumerate(["", ".sync", ".sync:2"])}
    executions = []
    for n in range(PARENTS):
        pattern = ["", ".sync", ".sync:2"][n % 3]
        started = sfn.start_execution(stateMachineArn=machines[pattern], name=f"p{n}", input=json.dumps({"n": n}))
        executions.append((n, pattern, started["executionArn"]))
        if n % (PARENTS // KILLS) == PARENTS // KILLS - 1:
            server.kill()
            server.start()
    for n, pattern, arn in executions:
        wait_for_status(sfn, arn, "SUCCEEDED", 60)
        output = json.loads(sfn.describe_execution(executionArn=arn)["output"])
        for result in (output["first"], output["second"]):
            if pattern == "":
                assert result["ExecutionArn"], result
            elif pattern == ".sync":
                assert json.loads(result["Output"]) == {"n": n, "done": True}, result
            else:
                assert result["Output"] == {"n": n, "done": True}, result
        kinds = Counter(types(history(sfn, arn)))
        assert kinds["TaskFailed"] == 0 and kinds["TaskSucceeded"] == 2, kinds

    def all_ended():
        return not sfn.list_executions(stateMachineArn=child, statusFilter="RUNNING")["executions"]

    wait_until("every child ended", all_ended, 30)
    pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=child)
    statuses = Counter(item["status"] for page in pages for item in page["executions"])
    assert statuses == {"SUCCEEDED": 2 * PARENTS}, "each task started one child"
