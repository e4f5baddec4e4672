"""SIGKILL under load, again and again: nothing acknowledged is lost, nothing is garbled."""
import random
import re

from harness import wait_for
from load import Load

ROUNDS = 6


def test_killed_under_load(make_server):
    server = make_server(start=False)
    acknowledged = {}
    chance = random.Random(1)
    for round in range(ROUNDS):
        server.start()
        loads = [Load(server.port, f"{round}.{i}", round * 100 + i) for i in range(8)]
        for load in loads:
            load.start()
        wait_for(lambda: sum(len(l.acknowledged) for l in loads) > 20 + chance.randrange(60), 30, "some mail")
        server.kill()
        for load in loads:
            load.join(30)
            assert load.trouble is None
            acknowledged.update(load.acknowledged)
    server.start()
    box = server.mailbox("alice", "example.com")

    def missing():
        seen = {re.search(rb"^Subject: (\S+)", m, re.M)[1].decode() for m in box.messages()}
        return set(acknowledged) - seen
    wait_for(lambda: not missing(), 60, "all that was acknowledged is in the mailbox")
    for message in box.messages():
        serial = re.search(rb"^Subject: (\S+)", message, re.M)[1].decode()
        if serial in acknowledged:
            assert message.endswith(acknowledged[serial].replace(b"\r\n", b"\n")), serial
    server.wait_log("recovered", "damaged=0")
    assert len(acknowledged) > ROUNDS * 20


def test_orderly_stop_delivers_nothing_twice(make_server):
    server = make_server(start=False)
    total = 0
    for round in range(3):
        server.start()
        loads = [Load(server.port, f"{round}.{i}", i) for i in range(4)]
        for load in loads:
            load.start()
        wait_for(lambda: sum(len(l.acknowledged) for l in loads) > 40, 30, "some mail")
        assert server.stop() == 0
        for load in loads:
            load.join(30)
            assert load.trouble is None
            total += len(load.acknowledged)
    server.start()
    box = server.mailbox("alice", "example.com")
    wait_for(lambda: len(box.files()) >= total, 30, "all delivered")
    subjects = [re.search(rb"^Subject: (\S+)", m, re.M)[1] for m in box.messages()]
    assert len(subjects) == len(set(subjects))
