"""SDKs put `sync-` before the host of two operations. What they are told so that they do not, and what happens if the
name is known."""
import json
import os
import socket
import subprocess
import sys

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from harness import PASS, client_of, create, wait_until

STATE = json.dumps(PASS["States"]["Hello"])
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture
def names(monkeypatch):
    """Names that are looked up; those of the dictionary lead to this machine, others that begin with sync- nowhere."""
    known, asked = {"localhost"}, []
    real = socket.getaddrinfo

    def lookup(host, *rest, **more):
        asked.append(host)
        if host in known:
            return real("127.0.0.1", *rest, **more)
        if str(host).startswith("sync-"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return known, asked


def plain_client(server, host="127.0.0.1"):
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("stepfunctions", endpoint_url=f"http://{host}:{server.port}", config=config, **KEYS)


def test_boto3_looks_for_a_name_that_is_none(server, names):
    with pytest.raises(EndpointConnectionError, match="sync-127.0.0.1"):
        plain_client(server).test_state(definition=STATE)
    assert "sync-127.0.0.1" in names[1]


def test_boto3_is_told_by_the_environment(server, names, monkeypatch):
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    assert plain_client(server).test_state(definition=STATE)["output"] == '"world"'
    assert not [name for name in names[1] if name.startswith("sync-")]


def test_boto3_is_told_by_its_profile(server, names, monkeypatch, tmp_path):
    file = tmp_path / "config"
    file.write_text("[profile local]\ndisable_host_prefix_injection = true\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    session = boto3.Session(profile_name="local")
    sfn = session.client("stepfunctions", endpoint_url=server.endpoint, **KEYS)
    assert sfn.test_state(definition=STATE)["output"] == '"world"'
    assert not [name for name in names[1] if name.startswith("sync-")]


def test_boto3_is_told_by_its_configuration(server, names):
    assert client_of(server).test_state(definition=STATE)["output"] == '"world"'
    assert not [name for name in names[1] if name.startswith("sync-")]


def test_a_line_in_the_file_of_hosts_is_enough(server, names):
    names[0].add("sync-localhost")
    assert plain_client(server, "localhost").test_state(definition=STATE)["output"] == '"world"'
    assert "sync-localhost" in names[1]


def test_what_the_banner_exports_is_enough(own_server, tmp_path, name):
    """The variables that the server prints, given to the AWS CLI as they are."""
    banner = wait_until("the banner", lambda: "export " in own_server.said() and own_server.said())
    lines = banner[banner.index("export ") :].split("\n\n")[0].split("aws stepfunctions")[0]
    pairs = lines.replace("export ", "").replace("\\", "").split()
    environment = dict(pair.split("=", 1) for pair in pairs) | {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    aws = [sys.executable, os.path.join(os.path.dirname(sys.executable), "aws"), "stepfunctions", "--output", "json"]

    def run(*arguments):
        done = subprocess.run([*aws, *arguments], env=environment, capture_output=True, text=True, timeout=120)
        if "not served by this version of Stepwright yet" in done.stderr:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert run("test-state", "--definition", STATE)["output"] == '"world"'
    machine = create(client_of(own_server), name, PASS, type="EXPRESS")
    assert run("start-sync-execution", "--state-machine-arn", machine)["output"] == '"world"'
