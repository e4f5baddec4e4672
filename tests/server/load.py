"""Clients that send as fast as they can, and remember what was acknowledged."""
import hashlib
import random
import threading
import time

from harness import Talk, Unexpected

SIZES = [10, 1000, 4000, 70_000, 300_000]


def content_of(serial, size):
    body = hashlib.sha256(str(serial).encode()).hexdigest() * (size // 64 + 1)
    lines = "\r\n".join(body[i:i + 70] for i in range(0, size, 70))
    return f"Subject: {serial}\r\n\r\n{lines}\r\n".encode()


class Load(threading.Thread):
    """One client that sends until the server goes away, or it is told to stop."""

    def __init__(self, port, name, random_seed, recipient="alice@example.com", sizes=SIZES, patient=False):
        """patient: 4xx is no trouble, it tries again."""
        super().__init__(daemon=True)
        self.port, self.name, self.random = port, name, random.Random(random_seed)
        self.recipient, self.sizes, self.patient = recipient, sizes, patient
        self.acknowledged = {}
        self.sent = self.refused = 0
        self.trouble = None
        self.over = threading.Event()

    def run(self):
        try:
            with Talk(self.port) as t:
                while not self.over.is_set():
                    self.send_one(t)
        except (OSError, EOFError):
            pass
        except Unexpected as error:
            if not error.reply.startswith("421"):  # the server leaves
                self.trouble = error.reply

    def send_one(self, talk):
        serial = f"{self.name}.{self.sent}"
        self.sent += 1
        content = content_of(serial, self.random.choice(self.sizes))
        try:
            reply = talk.mail(self.recipient, content)
            if not reply.startswith("250"):
                raise Unexpected(reply)
            self.acknowledged[serial] = content
        except Unexpected as error:
            if not (self.patient and error.reply.startswith("45")):
                raise
            self.refused += 1
            talk.ask("RSET")
            time.sleep(0.02)


class Loads:
    """Several of them."""

    def __init__(self, port, name, count=6, seed=0, **kwargs):
        self.all = [Load(port, f"{name}.{i}", seed * 100 + i, **kwargs) for i in range(count)]
        for load in self.all:
            load.start()

    def acknowledged(self):
        found = {}
        for load in self.all:
            found.update(load.acknowledged)
        return found

    def refused(self):
        return sum(load.refused for load in self.all)

    def end(self):
        """What was acknowledged."""
        for load in self.all:
            load.over.set()
        for load in self.all:
            load.join(60)
            assert not load.is_alive(), "a client waits for ever"
            assert load.trouble is None, load.trouble
        return self.acknowledged()
