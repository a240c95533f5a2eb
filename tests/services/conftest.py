"""A stand-in for AWS (moto) and servers that call it, on loopback, for as long as the tests run."""
import os
import subprocess
import sys

import boto3
import pytest
from botocore.config import Config

sys.path.insert(0, os.path.dirname(__file__))

from harness import REGION, Server, client_of, free_port, wait_until  # noqa: E402


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    """The address of moto's server."""
    port = free_port()
    log = open(tmp_path_factory.mktemp("moto") / "log", "wb")
    command = [os.path.join(os.path.dirname(sys.executable), "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def answers():
        import urllib.request

        assert process.poll() is None, f"moto's server ended; its log is {log.name}"
        try:
            return urllib.request.urlopen(url + "/moto-api/data.json", timeout=5).status == 200
        except OSError:
            return False

    wait_until("moto's server answers", answers, 60)
    yield url
    process.terminate()
    process.wait(30)
    log.close()


@pytest.fixture(scope="session")
def aws(moto):
    """A boto3 client of any service of the stand-in."""

    def client(service):
        return boto3.client(
            service,
            endpoint_url=moto,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}),
        )

    return client


@pytest.fixture(scope="session")
def calling(moto, tmp_path_factory):
    """A server whose tasks call the stand-in, and its client."""
    data = tmp_path_factory.mktemp("calling") / "data"
    # Without events of its own, so that what arrives is what tasks sent.
    with Server(data, "--status-events-eventbridge", "off", environment={"AWS_ENDPOINT_URL": moto}) as server:
        yield client_of(server)
