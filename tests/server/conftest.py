import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import ROOT, Server  # noqa: E402
from peers import Authority, Hop  # noqa: E402

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
        server.end()


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def hops():
    """Makes scripted next hops that are closed at the end."""
    made = []

    def make(cls=Hop, **kwargs):
        made.append(cls(**kwargs))
        return made[-1]
    yield make
    for hop in made:
        hop.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """One whose certificates the tests may trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


# ---- the report of test_durability.py ----

class Report:
    """Rows of doc/durability.md, in the order of the tests."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.rows = []

    def row(self, done, promised, seen):
        self.rows.append((done, promised, seen))

    def write(self, path):
        lines = ["# What survives", "",
                 "What was done to the server under load, what it had promised, what was seen. Written by "
                 "`pytest tests/server/test_durability.py --write-report`, which",
                 "failed if a promise was broken; `./dev test` runs shorter rounds of the same. The server is the real one; its disk is "
                 "`tests/powercut`, a FUSE file",
                 "system that keeps apart what was synced and what was not, names too, and loses the latter at a cut as it is told. "
                 "What the simulator does to the", "whole server, and far more often: `./dev sim`.", "",
                 "| what was done | what was promised | what was seen |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        path.write_text("\n".join(lines) + "\n")


def pytest_addoption(parser):
    parser.addoption("--write-report", action="store_true", help="run test_durability.py at length, and write doc/durability.md")


@pytest.fixture(scope="session")
def durability_report(request):
    report = Report(request.config.getoption("--write-report"))
    yield report
    if report.wanted and not request.session.testsfailed:
        report.write(ROOT / "doc" / "durability.md")
