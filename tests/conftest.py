"""Makes `harness` importable and gives every test what it needs of a running server."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness import Server, client_of  # noqa: E402


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that do not restart it; they keep apart by using names of their own."""
    with Server(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def own_server(tmp_path):
    """A server for one test, which may kill it and start it again."""
    with Server(tmp_path / "data") as running:
        yield running


@pytest.fixture
def sfn(server):
    return client_of(server)


@pytest.fixture
def name(request):
    """A name that no other test uses."""
    import uuid

    return request.node.originalname.removeprefix("test_")[:40] + "-" + uuid.uuid4().hex[:8]
