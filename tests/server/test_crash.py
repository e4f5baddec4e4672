"""SIGKILL under load, again and again: nothing acknowledged is lost, nothing is garbled."""
import random
import re
import threading

from harness import wait_for
from load import Load
from peers import Hop

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


class Counter(Hop):
    """Counts how often each message comes. That its 250 was heard is certain when, on the same connection and without
    PIPELINING, the next transaction has come as far as RCPT: the server has been asleep in between."""

    def __init__(self, **kwargs):
        self.came, self.heard, self.again = {}, set(), []
        super().__init__(extensions=("8BITMIME", "SIZE"), replies=self.listen, **kwargs)

    def listen(self, hop, verb, line, state):
        if verb == "RCPT" and "serial" in state:
            with self.lock:
                self.heard.add(state.pop("serial"))

    def end(self, state, content):
        serial = re.search(rb"^Subject: (\S+)", content, re.M)[1].decode()
        with self.lock:
            if serial in self.heard:
                self.again.append(serial)
            self.came[serial] = self.came.get(serial, 0) + 1
            state["serial"] = serial
        return "250 2.0.0 Ok: taken"


def test_killed_while_relaying_repeats_nothing_that_was_answered(make_server):
    hop = Counter()
    server = make_server(f'domain "example.com" {{ users = "*" }}\n'
                         f'route "*" {{ to = "smtp:127.0.0.1:{hop.port}", allow_loopback = true }}\n', start=False)
    acknowledged, chance = set(), random.Random(3)
    for round in range(ROUNDS):
        server.start()
        loads = [Load(server.port, f"{round}.{i}", i, "bob@away.example", (10, 4000)) for i in range(6)]
        before, goal = len(hop.heard), 30 + chance.randrange(60)
        for load in loads:
            load.start()
        wait_for(lambda: len(hop.heard) - before > goal, 60, "mail is relayed")
        server.kill()
        for load in loads:
            load.join(30)
            assert load.trouble is None
            acknowledged |= set(load.acknowledged)
    server.start()
    wait_for(lambda: acknowledged <= set(hop.came), 60, "all that was acknowledged has arrived")
    server.stop()
    hop.close()
    assert not hop.again
    assert len(hop.heard) > ROUNDS * 30


def test_killed_between_the_dot_and_its_answer_is_told(make_server):
    waits, goes_on = threading.Event(), threading.Event()

    def slow(hop, verb, line, state):
        if verb == "END":
            waits.set()
            goes_on.wait(60)
    hop = Hop(replies=slow)
    server = make_server(f''
                         f'route "*" {{ to = "smtp:127.0.0.1:{hop.port}", allow_loopback = true }}\n')
    with server.talk() as t:
        t.mail("bob@away.example")
    assert waits.wait(30)
    server.kill()
    goes_on.set()
    server.start()
    server.wait_log("event=deferred", "to=bob@away.example", "doubtful=yes", "killed")
    hop.wait(2)
    hop.close()
