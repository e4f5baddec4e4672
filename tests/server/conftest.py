import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import Server  # noqa: E402

LOCAL = 'domain "example.com" { users = ["alice", "bob", "carol"], aliases { postmaster = "alice" } }\n'


@pytest.fixture
def make_server(tmp_path):
    """Makes servers that are stopped at the end."""
    made = []

    def make(config=LOCAL, name="server", start=True, **kwargs):
        server = Server(tmp_path / name, config, **kwargs)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(make_server):
    return make_server()
