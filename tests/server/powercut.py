"""A disk whose power can be cut (tests/powercut), mounted for a test."""
import os
import pathlib
import subprocess
import time

import pytest
from harness import BINARY

TOOLS = pathlib.Path(BINARY).resolve().parent / "tests" / "powercut"


def tool(name):
    return TOOLS / name


class Disk:
    def __init__(self, path, octets=8 << 30):
        self.path = pathlib.Path(path)
        self.path.mkdir()
        self.octets = octets

    def __enter__(self):
        if not tool("powercut").exists():
            pytest.skip("tests/powercut is not built: libfuse3-dev is missing")
        self.process = subprocess.Popen([tool("powercut"), self.path, str(self.octets)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.process.stdout.readline() != b"on\n":
            said = self.process.stderr.read().decode().strip()
            self.process.wait()
            pytest.skip(f"no FUSE here: {said or 'it cannot be mounted'}")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        subprocess.run(["umount", "-l", str(self.path)], stderr=subprocess.DEVNULL)

    def answer(self):
        return self.process.stdout.readline().decode().strip()

    def tell(self, order):
        self.process.stdin.write(order.encode() + b"\n")
        self.process.stdin.flush()

    def order(self, order):
        self.tell(order)
        answer = self.answer()
        assert answer == "ok" or order == "stat", (order, answer)
        return answer

    def cut(self, loss, seed, after):
        """Plan it; wait_off() waits until it has come."""
        self.tell(f"cut {loss} {seed} {after}")

    def wait_off(self, timeout=60, unless=lambda: False):
        """False: it has not come, because of `unless`."""
        os.set_blocking(self.process.stdout.fileno(), False)
        try:
            end = time.monotonic() + timeout
            while time.monotonic() < end:
                if self.process.stdout.readline() == b"off\n":
                    return True
                if unless():
                    return False
                time.sleep(0.002)
        finally:
            os.set_blocking(self.process.stdout.fileno(), True)
        raise AssertionError("the load does not come as far as the cut")

    def on(self):
        self.order("on")

    def stat(self):
        return {key: int(value) for key, value in (word.split("=") for word in self.order("stat").split())}
