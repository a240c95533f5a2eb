"""What Terraform's AWS provider does with a state machine, an alias and an activity, call for call (its public source,
internal/service/sfn): create, refresh, update, delete. After each, what a refresh reads is what was asked for, so a plan
has nothing to do; waits end; and what is gone is gone with the error that the provider takes for "not found".

The provider is written in Go. What differs there is kept: a false flag and an empty list are not sent, an empty text is.
"""
import json

import pytest
from botocore.exceptions import ClientError
from harness import PASS, ROLE, WAIT, wait_until

OTHER_ROLE = "arn:aws:iam::000000000000:role/other"
LOGGING_OFF = {"include_execution_data": False, "level": "OFF"}


def sent(**request):
    """A request as Go sends it."""
    return {key: value for key, value in request.items() if value is not None and value is not False and value != []}


def found(call, error, **request):
    """What is read, or None for the one error that means it does not exist."""
    try:
        return call(**request)
    except ClientError as refused:
        assert type(refused).__name__ == error, refused
        return None


class Tags:
    def __init__(self, sfn, arn):
        self.sfn, self.arn = sfn, arn

    def read(self):
        listed = self.sfn.list_tags_for_resource(resourceArn=self.arn)
        return {tag["key"]: tag["value"] for tag in listed["tags"]}

    def update(self, old, new):
        if removed := sorted(old.keys() - new.keys()):
            self.sfn.untag_resource(resourceArn=self.arn, tagKeys=removed)
        if changed := {key: value for key, value in new.items() if old.get(key) != value}:
            self.sfn.tag_resource(resourceArn=self.arn, tags=listed(changed))


def listed(tags):
    return [{"key": key, "value": value} for key, value in tags.items()]


class StateMachine:
    """aws_sfn_state_machine."""

    DEFAULTS = {"publish": False, "type": "STANDARD", "tags": {}}

    def __init__(self, sfn):
        self.sfn, self.state = sfn, None

    def plan(self, config):
        """What would be changed; new definitions are validated first."""
        config = self.DEFAULTS | config
        if self.state is None or self.state["definition"] != config["definition"]:
            answer = self.sfn.validate_state_machine_definition(definition=config["definition"], type=config["type"])
            assert answer["result"] == "OK", answer
        if self.state is None:
            return sorted(config)
        return sorted(key for key, value in config.items() if self.state[key] != value)

    def create(self, config):
        config = self.DEFAULTS | config
        self.id = self.sfn.create_state_machine(
            **sent(
                name=config["name"],
                definition=config["definition"],
                roleArn=config["role_arn"],
                type=config["type"],
                publish=config["publish"],
                tags=listed(config["tags"]),
                loggingConfiguration=logging(config.get("logging")),
                tracingConfiguration=tracing(config.get("tracing")),
            )
        )["stateMachineArn"]
        self.refresh(config)

    def refresh(self, config=None):
        """Reads everything anew. What no operation tells stays as it was configured."""
        publish = (config or self.state)["publish"]
        read = self.describe()
        if read is None:
            self.state = None
            return
        assert read["stateMachineArn"] == self.id and read["creationDate"]
        versions = self.sfn.list_state_machine_versions(stateMachineArn=self.id)["stateMachineVersions"]
        self.state = {
            "name": read["name"],
            "definition": read["definition"],
            "role_arn": read["roleArn"],
            "type": read["type"],
            "status": read["status"],
            "description": read.get("description", ""),
            "revision_id": read.get("revisionId", ""),
            "publish": publish,
            "logging": read_logging(read["loggingConfiguration"]),
            "tracing": read["tracingConfiguration"]["enabled"],
            "version": versions[0]["stateMachineVersionArn"] if versions else "",
            "tags": Tags(self.sfn, self.id).read(),
        }

    def update(self, config):
        config = self.DEFAULTS | config
        changed = set(self.plan(config))
        Tags(self.sfn, self.id).update(self.state["tags"], config["tags"])
        if changed - {"tags"}:
            request = sent(
                stateMachineArn=self.id,
                definition=config["definition"],
                roleArn=config["role_arn"],
                publish=config["publish"],
                loggingConfiguration=logging(config["logging"]) if "logging" in changed else None,
                tracingConfiguration=tracing(config["tracing"]) if "tracing" in changed else None,
            )
            if config["publish"]:
                request["versionDescription"] = ""
            self.sfn.update_state_machine(**request)
            wait_until("the update is seen", lambda: self.shows(config, changed), 60)
        self.refresh(config)

    def shows(self, config, changed):
        read = self.describe()
        return (
            ("definition" not in changed or json.loads(read["definition"]) == json.loads(config["definition"]))
            and ("role_arn" not in changed or read["roleArn"] == config["role_arn"])
            and ("tracing" not in changed or read["tracingConfiguration"]["enabled"] == config["tracing"])
            and ("logging" not in changed or read_logging(read["loggingConfiguration"]) == config["logging"])
        )

    def delete(self):
        self.sfn.delete_state_machine(stateMachineArn=self.id)
        wait_until("it is gone", lambda: (self.describe() or {"status": None})["status"] not in ("ACTIVE", "DELETING"), 300)

    def describe(self):
        return found(self.sfn.describe_state_machine, "StateMachineDoesNotExist", stateMachineArn=self.id)


def logging(config):
    if config is None:
        return None
    destination = config.get("log_destination")
    return sent(
        includeExecutionData=config["include_execution_data"],
        level=config["level"],
        destinations=[{"cloudWatchLogsLogGroup": {"logGroupArn": destination}}] if destination else None,
    )


def read_logging(configuration):
    read = {"include_execution_data": configuration["includeExecutionData"], "level": configuration["level"]}
    if configuration.get("destinations"):
        read["log_destination"] = configuration["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    return read


def tracing(enabled):
    return None if enabled is None else sent(enabled=enabled)


@pytest.fixture
def machine(sfn):
    return StateMachine(sfn)


def applied(resource, config):
    """Applies a configuration; nothing is left to do then, and a refresh changes nothing."""
    if resource.state is None:
        resource.create(config)
    else:
        resource.update(config)
    assert resource.plan(config) == []
    before = dict(resource.state)
    resource.refresh()
    assert resource.state == before and resource.plan(config) == []
    return before


def test_state_machine(machine, name):
    config = {"name": name, "definition": json.dumps(PASS, indent=2), "role_arn": ROLE}
    created = applied(machine, config)
    assert created["status"] == "ACTIVE" and created["version"] == "" and created["description"] == ""
    assert created["logging"] == LOGGING_OFF and created["tracing"] is False
    changed = applied(machine, config | {"definition": json.dumps(WAIT), "role_arn": OTHER_ROLE})
    assert changed["revision_id"] and changed["version"] == ""
    machine.delete()
    machine.refresh()
    assert machine.state is None, "the next plan creates it anew"
    applied(machine, config)
    machine.delete()
    # Destroying what somebody else has destroyed is no error.
    machine.delete()


def test_state_machine_with_tags(machine, name):
    config = {"name": name, "definition": json.dumps(PASS), "role_arn": ROLE, "tags": {"team": "orders", "stage": ""}}
    revision = applied(machine, config)["revision_id"]
    tagged = applied(machine, config | {"tags": {"team": "billing", "cost": "7"}})
    assert tagged["revision_id"] == revision, "tags alone are no revision"
    applied(machine, config | {"tags": {}})
    machine.delete()


def test_state_machine_that_publishes(machine, name):
    config = {"name": name, "definition": json.dumps(PASS), "role_arn": ROLE, "publish": True}
    assert applied(machine, config)["version"] == f"{machine.id}:1"
    assert applied(machine, config | {"definition": json.dumps(WAIT)})["version"] == f"{machine.id}:2"
    assert applied(machine, config | {"definition": json.dumps(WAIT), "role_arn": OTHER_ROLE})["version"] == f"{machine.id}:3"
    # Nothing but the flag: the revision is published already.
    assert applied(machine, config | {"definition": json.dumps(WAIT), "role_arn": OTHER_ROLE, "publish": False})["version"] == f"{machine.id}:3"
    machine.delete()
    assert found(machine.sfn.describe_state_machine, "StateMachineDoesNotExist", stateMachineArn=f"{machine.id}:3") is None


def test_state_machine_with_logging_and_tracing(machine, name):
    config = {"name": name, "definition": json.dumps(PASS), "role_arn": ROLE, "logging": LOGGING_OFF, "tracing": True}
    applied(machine, config)
    applied(machine, config | {"tracing": False})
    applied(machine, config | {"logging": {"include_execution_data": True, "level": "OFF"}})
    machine.delete()


def test_state_machines_are_found_by_name(sfn, machine, name):
    """The data source: pages through all machines for the one of this name, and describes it."""
    applied(machine, {"name": name, "definition": json.dumps(PASS), "role_arn": ROLE})
    pages = sfn.get_paginator("list_state_machines").paginate()
    arns = [one["stateMachineArn"] for page in pages for one in page["stateMachines"] if one["name"] == name]
    assert arns == [machine.id]
    machine.delete()


def test_versions_are_listed_page_by_page(sfn, machine, name):
    """The data source aws_sfn_state_machine_versions: every version, by the tokens of the pages."""
    config = {"name": name, "definition": json.dumps(PASS), "role_arn": ROLE, "publish": True}
    for definition in (PASS, WAIT, PASS):
        applied(machine, config | {"definition": json.dumps(definition)})
    read, token = [], {}
    while token is not None:
        page = sfn.list_state_machine_versions(stateMachineArn=machine.id, maxResults=1, **token)
        read += [one["stateMachineVersionArn"] for one in page["stateMachineVersions"]]
        token = {"nextToken": page["nextToken"]} if "nextToken" in page else None
    assert read == [f"{machine.id}:{n}" for n in (3, 2, 1)]
    machine.delete()


class Alias:
    """aws_sfn_alias. Tags are not its own."""

    def __init__(self, sfn):
        self.sfn, self.state = sfn, None

    def plan(self, config):
        config = {"description": ""} | config
        if self.state is None:
            return sorted(config)
        return sorted(key for key, value in config.items() if self.state[key] != value)

    def create(self, config):
        self.id = self.sfn.create_state_machine_alias(
            name=config["name"], description=config.get("description", ""), routingConfiguration=route(config["routing"])
        )["stateMachineAliasArn"]
        self.refresh()

    def refresh(self):
        read = self.describe()
        self.state = read and {
            "name": read["name"],
            "description": read.get("description", ""),
            "routing": [(one["stateMachineVersionArn"], one["weight"]) for one in read["routingConfiguration"]],
            "creation_date": read["creationDate"],
        }

    def update(self, config):
        changed = self.plan(config)
        request = {}
        if "description" in changed:
            request["description"] = config.get("description", "")
        if "routing" in changed:
            request["routingConfiguration"] = route(config["routing"])
        if request:
            self.sfn.update_state_machine_alias(stateMachineAliasArn=self.id, **request)
            self.refresh()

    def delete(self):
        self.sfn.delete_state_machine_alias(stateMachineAliasArn=self.id)

    def describe(self):
        return found(self.sfn.describe_state_machine_alias, "ResourceNotFound", stateMachineAliasArn=self.id)


def route(routing):
    return [{"stateMachineVersionArn": arn, "weight": weight} for arn, weight in routing]


def test_alias(sfn, machine, name):
    config = {"name": name, "definition": json.dumps(PASS), "role_arn": ROLE, "publish": True}
    applied(machine, config)
    applied(machine, config | {"definition": json.dumps(WAIT)})
    first, second = f"{machine.id}:1", f"{machine.id}:2"
    alias = Alias(sfn)
    applied(alias, {"name": "live", "routing": [(first, 100)]})
    applied(alias, {"name": "live", "routing": [(first, 90), (second, 10)]})
    applied(alias, {"name": "live", "routing": [(first, 90), (second, 10)], "description": "carefully"})
    applied(alias, {"name": "live", "routing": [(second, 100)], "description": ""})
    alias.delete()
    alias.refresh()
    assert alias.state is None
    alias.delete()
    machine.delete()


class Activity:
    """aws_sfn_activity. Only its tags can be updated."""

    def __init__(self, sfn):
        self.sfn, self.state = sfn, None

    def plan(self, config):
        config = {"tags": {}} | config
        if self.state is None:
            return sorted(config)
        return sorted(key for key, value in config.items() if self.state[key] != value)

    def create(self, config):
        self.id = self.sfn.create_activity(**sent(name=config["name"], tags=listed(config.get("tags", {}))))["activityArn"]
        self.refresh()

    def refresh(self):
        read = self.describe()
        self.state = read and {
            "name": read["name"],
            "creation_date": read["creationDate"],
            "encryption": read.get("encryptionConfiguration"),
            "tags": Tags(self.sfn, self.id).read(),
        }

    def update(self, config):
        Tags(self.sfn, self.id).update(self.state["tags"], config.get("tags", {}))
        self.refresh()

    def delete(self):
        self.sfn.delete_activity(activityArn=self.id)

    def describe(self):
        return found(self.sfn.describe_activity, "ActivityDoesNotExist", activityArn=self.id)


def test_activity(sfn, name):
    activity = Activity(sfn)
    created = applied(activity, {"name": name})
    assert created["encryption"] == {"type": "AWS_OWNED_KEY"}
    applied(activity, {"name": name, "tags": {"team": "orders"}})
    applied(activity, {"name": name, "tags": {"team": "billing", "stage": "test"}})
    applied(activity, {"name": name})
    # The data source: pages through all activities for the one of this name, and describes it.
    pages = sfn.get_paginator("list_activities").paginate()
    assert [one["activityArn"] for page in pages for one in page["activities"] if one["name"] == name] == [activity.id]
    activity.delete()
    activity.refresh()
    assert activity.state is None
    activity.delete()
