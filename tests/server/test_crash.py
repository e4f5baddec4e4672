"""SIGKILL under load, again and again: nothing acknowledged is lost, nothing is garbled."""
import hashlib
import random
import re
import threading

from harness import Talk, Unexpected, wait_for

ROUNDS = 6


def content_of(serial, size):
    body = hashlib.sha256(str(serial).encode()).hexdigest() * (size // 64 + 1)
    lines = "\r\n".join(body[i:i + 70] for i in range(0, size, 70))
    return f"Subject: {serial}\r\n\r\n{lines}\r\n".encode()


class Load(threading.Thread):
    """One client that sends until the server goes away; remembers what was acknowledged."""

    def __init__(self, port, name, random_seed):
        super().__init__()
        self.port, self.name, self.random = port, name, random.Random(random_seed)
        self.acknowledged = {}
        self.sent = 0
        self.trouble = None

    def run(self):
        try:
            with Talk(self.port) as t:
                while True:
                    serial = f"{self.name}.{self.sent}"
                    self.sent += 1
                    content = content_of(serial, self.random.choice([10, 1000, 4000, 70_000, 300_000]))
                    reply = t.mail("alice@example.com", content)
                    if not reply.startswith("250"):
                        raise Unexpected(reply)
                    self.acknowledged[serial] = content
        except (OSError, EOFError):
            pass
        except Unexpected as error:
            if not error.reply.startswith("421 4.3.2"):  # the server leaves
                self.trouble = error.reply


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
