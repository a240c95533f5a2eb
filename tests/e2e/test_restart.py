"""What waits goes on after a restart, kind or not: Waits, tasks, tokens, and everything that was created."""
import json
import threading
import time

import pytest
from harness import PASS, WAIT, check_chain, client_of, create, history, task, types, wait_for_status, wait_until


def restart(server, how):
    if how == "kill":
        server.kill()
    else:
        assert server.stop() == 0, "a server that is asked to end ends well"
    server.start()


BOTH = pytest.mark.parametrize("how", ["kill", "terminate"])


@BOTH
def test_a_parked_wait_ends_on_time(own_server, how):
    sfn = client_of(own_server)
    short = create(sfn, "short", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 4, "End": True}}})
    long = create(sfn, "long", WAIT)
    ends = sfn.start_execution(stateMachineArn=short)["executionArn"]
    stays = sfn.start_execution(stateMachineArn=long)["executionArn"]
    restart(own_server, how)
    described = wait_for_status(sfn, ends, "SUCCEEDED")
    waited = (described["stopDate"] - described["startDate"]).total_seconds()
    assert 4 <= waited < 6, f"4 s took {waited} s"
    events = history(sfn, ends)
    check_chain(events)
    assert types(events) == ["ExecutionStarted", "WaitStateEntered", "WaitStateExited", "ExecutionSucceeded"]
    assert sfn.describe_execution(executionArn=stays)["status"] == "RUNNING"
    assert types(history(sfn, stays)) == ["ExecutionStarted", "WaitStateEntered"]


def test_a_wait_that_came_due_while_the_server_was_down_ends_at_once(own_server):
    sfn = client_of(own_server)
    machine = create(sfn, "short", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 2, "End": True}}})
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    due = time.monotonic() + 2.5
    own_server.kill()
    wait_until("the Wait is due", lambda: time.monotonic() > due)
    own_server.start()
    wait_for_status(sfn, execution, "SUCCEEDED", 5)
    check_chain(history(sfn, execution))


@BOTH
def test_tasks_and_their_tokens_outlive_the_server(own_server, how):
    sfn = client_of(own_server)
    activity = sfn.create_activity(name="work")["activityArn"]
    machine = create(sfn, "tasks", task(activity))
    first = sfn.start_execution(stateMachineArn=machine, input='"first"')["executionArn"]
    taken = sfn.get_activity_task(activityArn=activity, workerName="before")
    assert taken["input"] == '"first"'
    second = sfn.start_execution(stateMachineArn=machine, input='"second"')["executionArn"]

    restart(own_server, how)
    sfn.send_task_heartbeat(taskToken=taken["taskToken"])
    waiting = sfn.get_activity_task(activityArn=activity, workerName="after")
    assert waiting["input"] == '"second"', "what was handed out is not handed out again; what waited is"
    for given in (taken, waiting):
        sfn.send_task_success(taskToken=given["taskToken"], output="true")
    for execution in (first, second):
        assert wait_for_status(sfn, execution, "SUCCEEDED")["output"] == "true"
        events = history(sfn, execution)
        check_chain(events)
        assert types(events).count("ActivityScheduled") == types(events).count("ActivityStarted") == 1


@BOTH
def test_everything_created_is_still_there(own_server, how):
    sfn = client_of(own_server)
    machine = create(sfn, "kept", PASS, tags=[{"key": "team", "value": "orders"}])
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(WAIT))
    activity = sfn.create_activity(name="kept")["activityArn"]
    execution = sfn.start_execution(stateMachineArn=machine, name="stopped")["executionArn"]
    sfn.stop_execution(executionArn=execution, error="Enough")
    gone = create(sfn, "gone", PASS)
    sfn.delete_state_machine(stateMachineArn=gone)

    def everything():
        drop = lambda answer: {k: v for k, v in answer.items() if k != "ResponseMetadata"}  # noqa: E731
        return [
            drop(sfn.describe_state_machine(stateMachineArn=machine)),
            drop(sfn.describe_activity(activityArn=activity)),
            drop(sfn.describe_execution(executionArn=execution)),
            drop(sfn.list_executions(stateMachineArn=machine)),
            drop(sfn.list_state_machines()),
            drop(sfn.list_tags_for_resource(resourceArn=machine)),
            history(sfn, execution),
        ]

    wait_until("the deleted machine is gone", lambda: len(sfn.list_state_machines()["stateMachines"]) == 1)
    before = everything()
    restart(own_server, how)
    assert everything() == before
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        sfn.start_execution(stateMachineArn=machine, name="stopped", input='{"names": "stay taken"}')


def test_a_stopping_server_lets_pollers_go(own_server):
    sfn = client_of(own_server)
    activity = sfn.create_activity(name="idle")["activityArn"]
    answers = []
    poll = threading.Thread(target=lambda: answers.append(sfn.get_activity_task(activityArn=activity)))
    poll.start()
    health = client_of(own_server)
    wait_until("the server answers beside the poll", lambda: health.list_activities()["activities"])
    begun = time.monotonic()
    assert own_server.stop() == 0
    assert time.monotonic() - begun < 25, "a long poll does not hold up a shutdown"
    poll.join(10)
    own_server.start()
    assert not answers or not answers[0].get("taskToken")
