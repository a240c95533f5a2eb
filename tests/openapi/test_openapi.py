"""The OpenAPI description: valid by a public validator, true by its examples, and driven against the real binary by
schemathesis, which makes requests from it that are right, nearly right and wrong.

`cargo xtask test openapi` runs this. The run is bounded and always the same: OPENAPI_EXAMPLES says how many requests
each operation gets, OPENAPI_SEED which ones.
"""
import json
import os
import subprocess
import urllib.request

import hypothesis
import jsonschema
import pytest
import schemathesis
from harness import PASS, ROLE, WAIT, client_of, create, task, wait_for_status
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "40"))
SEED = int(os.environ.get("OPENAPI_SEED", "1"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = json.loads(subprocess.run([os.environ["STEPWRIGHT_BIN"], "openapi"], check=True, capture_output=True).stdout)
# What deletes comes last, so that the others find what there is.
OPERATIONS = sorted((path.removeprefix("/operations/") for path in DOCUMENT["paths"]), key=lambda name: ("Delete" in name, name))
SUCCEED = {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}}
JSONATA = {
    "QueryLanguage": "JSONata",
    "StartAt": "J",
    "States": {"J": {"Type": "Pass", "Output": "{% $merge([$states.input, {'n': 1}]) %}", "End": True}},
}
MAP = {
    "StartAt": "M",
    "States": {
        "M": {
            "Type": "Map",
            "Items": [1, 2, 3],
            "QueryLanguage": "JSONata",
            "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}},
            "End": True,
        }
    },
}


def test_the_document_is_valid(server):
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    served = json.load(urllib.request.urlopen(server.endpoint + "/openapi.json"))
    assert served == DOCUMENT


def test_every_example_is_what_its_schema_says():
    def check(content):
        schema = {"$ref": content["schema"]["$ref"], "components": DOCUMENT["components"]}
        for example in content["examples"].values():
            jsonschema.Draft202012Validator(schema).validate(example["value"])

    for path in DOCUMENT["paths"].values():
        check(path["post"]["requestBody"]["content"]["application/json"])
        check(path["post"]["responses"]["200"]["content"]["application/json"])


class World:
    """Resources that exist, so that requests get beyond "does not exist". None of them can make a call wait long."""

    def __init__(self, sfn):
        activity = sfn.create_activity(name="openapi")["activityArn"]
        machines = [create(sfn, f"openapi-{i}", one) for i, one in enumerate([PASS, WAIT, FAIL, JSONATA, MAP, task(activity)])]
        machines.append(create(sfn, "openapi-express", JSONATA, type="EXPRESS"))
        sfn.publish_state_machine_version(stateMachineArn=machines[0])
        sfn.update_state_machine(stateMachineArn=machines[0], definition=json.dumps(JSONATA), publish=True)
        ended = sfn.start_execution(stateMachineArn=machines[0], name="ended")["executionArn"]
        wait_for_status(sfn, ended, "SUCCEEDED")
        failed = sfn.start_execution(stateMachineArn=machines[2], name="failed")["executionArn"]
        wait_for_status(sfn, failed, "FAILED")
        running = sfn.start_execution(stateMachineArn=machines[1], name="running")["executionArn"]
        tokens = []
        for i in range(6):
            sfn.start_execution(stateMachineArn=machines[5], name=f"task-{i}")
            tokens.append(sfn.get_activity_task(activityArn=activity)["taskToken"])
        sfn.send_task_success(taskToken=tokens[0], output="1")
        versions = [f"{machines[0]}:{n}" for n in (1, 2)]
        route = [{"stateMachineVersionArn": versions[0], "weight": 100}]
        aliases = [sfn.create_state_machine_alias(name="live", routingConfiguration=route)["stateMachineAliasArn"]]
        none = "arn:aws:states:us-east-1:000000000000:"
        map_runs = [f"{none}mapRun:openapi-4/M:4c0e5a3e-5bd3-44d6-9a3a-0d6b3ed54b4b"]
        executions = [ended, failed, running, running + "-none", f"{none}express:m:e:4c0e5a3e-5bd3-44d6-9a3a-0d6b3ed54b4b"]
        definitions = [json.dumps(one) for one in (PASS, SUCCEED, FAIL, JSONATA, MAP, task(activity))]
        states = [json.dumps(one["States"][one["StartAt"]]) for one in (PASS, SUCCEED, FAIL, JSONATA, MAP)]
        self.values = {
            "stateMachineArn": [*machines, *versions, *aliases, machines[4] + "/M", machines[0] + "-none"],
            "stateMachineVersionArn": [*versions, machines[0] + ":99", machines[0]],
            "stateMachineAliasArn": [*aliases, machines[0] + ":none", machines[0]],
            "executionArn": executions,
            # A poll for a task that there is not would wait for a minute.
            "activityArn": [activity + "-none", machines[0]],
            "mapRunArn": map_runs,
            "resourceArn": [machines[0], activity, versions[0], ended],
            "taskToken": [*tokens, tokens[1][:-4] + "AAAA"],
            "definition": [*definitions, *states, definitions[0][:-2], "{}"],
            "roleArn": [ROLE],
            "name": [f"openapi-{i}" for i in range(6)] + ["live", "ended", "a b", "new"],
            "input": ["{}", "[1, 2]", '"text"', "null", "{", ""],
            "output": ["{}", "[1, 2]", '"text"', "null", "{", ""],
            "context": ["{}", '{"Execution": {"Id": "x"}}', "[]"],
            "variables": ["{}", '{"a": 1}', "[]"],
            "stateName": ["Hello", "S", "none"],
            "revisionId": ["4c0e5a3e-5bd3-44d6-9a3a-0d6b3ed54b4b", "INITIAL"],
        }

    def liven(self, body, draw):
        """Puts values that exist into a request that was made from the schema alone, deep inside as well."""
        if isinstance(body, list):
            return [self.liven(item, draw) for item in body]
        if not isinstance(body, dict):
            return body
        mostly = st.sampled_from([True, True, True, False])
        return {
            key: draw(st.sampled_from(self.values[key])) if key in self.values and draw(mostly) else self.liven(value, draw)
            for key, value in body.items()
        }


@pytest.fixture(scope="module")
def world(server):
    sfn = client_of(server)
    return World(sfn)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_request_breaks_an_operation(server, world, operation):
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    described = schema[f"/operations/{operation}"]["POST"]

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        # What fails is shown as it was sent; looking for a smaller one would take longer than is of use in CI.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=described.as_strategy(), data=st.data())
    def ask(case, data):
        case.body = world.liven(case.body, data.draw)
        case.call_and_validate(base_url=server.endpoint, checks=CHECKS, timeout=60)

    ask()
    assert server.healthy()
    assert "panicked" not in server.said()
