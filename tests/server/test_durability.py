"""The crash matrix: what is done to a server under load, what it has promised, what is seen.  Mail is told apart by serial
numbers and compared octet by octet.

    pytest tests/server/test_durability.py --write-report

takes its time, and writes doc/durability.md; without it each row is a short one, and the tree is left alone."""
import contextlib
import json
import mmap
import os
import pathlib
import random
import re
import resource
import socket
import struct
import time

import pytest
from harness import Server, free_port, wait_for
from load import Loads
from peers import Hop
from powercut import Disk, tool

KEPT = "what was answered 250 is delivered, whole"
BASE = 'queue { retry = ["1s"] }\nlimits { disk_free = 0, connections_per_client = 10000 }\n'
LOCAL = 'domain "example.com" { users = "*" }\n'


def to_hop(port):
    return f'route "example.net" {{ to = "smtp:127.0.0.1:{port}", allow_loopback = true }}\n'


def serial_of(message):
    return re.search(rb"^Subject: (\S+)", message, re.M)[1].decode()


class Rig:
    """A server with its state on a disk that fails, the mail that was promised, and where it goes."""

    def __init__(self, directory, state, report):
        self.report = report
        self.rounds = 8 if report.wanted else 2
        self.chance = random.Random(7)
        self.promised = {}
        self.refused = 0
        self.server = Server(directory / "server", LOCAL)
        self.server.state = pathlib.Path(state) / "state"
        self.hop_port = free_port()
        self.hop = None
        self.configure()

    def configure(self, more=""):
        self.server.configure(BASE + LOCAL + to_hop(self.hop_port) + more + f'control = "{self.server.directory}/control.sock"\n')

    def open_hop(self):
        if not self.hop:
            self.hop = Hop(port=self.hop_port)

    def load(self, name, **kwargs):
        """4xx is an answer like others: the disk has just failed."""
        return Loads(self.server.port, name, seed=self.chance.randrange(1000), patient=True, **kwargs)

    def keep(self, loads):
        self.promised.update(loads.end())
        self.refused += loads.refused()

    def stats(self):
        return json.loads(self.server.run("queue", "stats", "--json", check=True).stdout)

    # ---- what has arrived ----

    def arrived(self):
        """{serial: [content]}; ends of line are those of the wire."""
        found = {}
        contents = [content for _, _, content in list(self.hop.messages)] if self.hop else []
        for file in self.server.state.glob("mail/example.com/*/new/*"):
            contents.append(file.read_bytes().replace(b"\n", b"\r\n"))
        for content in contents:
            found.setdefault(serial_of(content), []).append(content)
        return found

    def wait_all(self, timeout=90, but=0):
        """Until everything promised has arrived, but for so many; then compare.  Words for the report."""
        assert self.promised, "nothing was promised: the row says nothing"
        found = {}

        def missing():
            found.clear()
            found.update(self.arrived())
            return [serial for serial in self.promised if serial not in found]
        end = time.monotonic() + timeout
        while len(missing()) > but and time.monotonic() < end:
            time.sleep(0.1)
        lost = missing()
        assert len(lost) <= but, f"{len(lost)} of {len(self.promised)} lost: {sorted(lost)[:5]}\n{self.server.log()[-4000:]}"
        for serial, contents in found.items():
            for content in contents:
                if serial in self.promised:
                    assert content.endswith(self.promised[serial]), f"{serial} is garbled"
        twice = sum(len(contents) > 1 for serial, contents in found.items() if serial in self.promised)
        words = f"{len(self.promised)} acknowledged, {len(lost)} lost, 0 garbled"
        return words + (f", {twice} twice" if twice else "") + (f"; {self.refused} refused with 4xx" if self.refused else "")

    def count_lost(self):
        """Promised mail that is neither queued nor has arrived."""
        wait_for(lambda: not self.server.queue(), 60, "an empty queue")
        found = self.arrived()
        return sum(serial not in found for serial in self.promised)

    def recovered(self, **wanted):
        """Words of the last recovery; nothing that was synced may be missing."""
        line = [l for l in self.server.log().splitlines() if "event=recovered" in l][-1]
        numbers = dict(re.findall(r"(\w+)=(\d+)", line))
        for key, value in wanted.items():
            assert int(numbers[key]) == value, line
        return numbers


@pytest.fixture
def rig(tmp_path, durability_report):
    """Makes rigs; what they have started ends with the test."""
    with contextlib.ExitStack() as stack:
        def make(state=None):
            made = Rig(tmp_path, state or tmp_path, durability_report)

            def end():
                if made.server.process:
                    made.server.kill()
                if made.hop:
                    made.hop.close()
            stack.callback(end)
            return made
        yield make


@pytest.fixture
def cut(tmp_path, rig):
    """A rig on a disk whose power can be cut."""
    with contextlib.ExitStack() as stack:
        def make(octets=8 << 30):
            disk = stack.enter_context(Disk(tmp_path / "disk", octets))
            made = rig(disk.path)
            stack.callback(lambda: made.server.process and made.server.kill())
            return made, disk
        yield make


def enough(loads, count):
    return lambda: len(loads.acknowledged()) >= count or not any(load.is_alive() for load in loads.all)


# ---- the process dies ----

@pytest.mark.parametrize("way", ["into mailboxes", "relayed"])
def test_killed(rig, durability_report, way):
    r = rig()
    r.open_hop()
    for round in range(r.rounds):
        r.server.start()
        loads = r.load(f"k{round}", recipient="a@example.com" if way == "into mailboxes" else "a@example.net")
        wait_for(enough(loads, 20 + r.chance.randrange(40)), 60, "some mail")
        r.server.kill()
        r.keep(loads)
    r.server.start()
    seen = r.wait_all()
    r.recovered(damaged=0)
    durability_report.row(f"SIGKILL under load, {r.rounds} times; mail {way}", KEPT, seen)


# ---- the power fails ----

WORK = {
    "accepting": dict(recipient="a@example.net", hop=False),
    "relaying": dict(recipient="a@example.net", hop=True),
    "delivering to mailboxes": dict(recipient="a@example.com", hop=True),
}


@pytest.mark.parametrize("loss", ["drop", "tear", "reorder"])
@pytest.mark.parametrize("work", WORK)
def test_power_cut(cut, durability_report, work, loss):
    r, disk = cut()
    if WORK[work]["hop"]:
        r.open_hop()
    for round in range(r.rounds):
        r.server.start()
        loads = r.load(f"p{round}", recipient=WORK[work]["recipient"])
        wait_for(enough(loads, 5), 60, "some mail")
        disk.cut(loss, r.chance.randrange(1 << 30), r.chance.randrange(1, 300))
        disk.wait_off()
        r.server.kill()
        r.keep(loads)
        disk.on()
    r.open_hop()
    r.server.start()
    seen = r.wait_all()
    r.recovered(damaged=0)
    stat = disk.stat()
    durability_report.row(f"power cut while {work}, {r.rounds} times; {LOSSES[loss]}", KEPT,
                          f"{seen}; {stat['lost_writes']} writes and {stat['lost_names']} names lost")


def test_a_server_that_does_not_sync_is_found_out(cut, durability_report):
    """The control: were nothing lost here, the rows above would say nothing."""
    r, disk = cut()
    r.server.start(env={**os.environ, "LD_PRELOAD": str(tool("libnosync.so"))})
    loads = r.load("n", recipient="a@example.net")
    wait_for(enough(loads, 20), 60, "some mail")
    disk.cut("tear", 1, 1)
    disk.wait_off()
    r.server.kill()
    r.keep(loads)
    disk.on()
    r.open_hop()
    r.server.start()
    lost = r.count_lost()
    assert lost > 0
    durability_report.row("control: power cut while accepting, and the server's syncs do nothing", "none",
                          f"{len(r.promised)} acknowledged, {lost} lost")


LOSSES = {
    "drop": "unsynced writes and names are gone",
    "tear": "unsynced writes end somewhere, in torn sectors",
    "reorder": "any unsynced writes and names arrive, whole or torn",
}


@pytest.mark.parametrize("loss", ["drop", "tear", "reorder"])
def test_power_cut_while_starting(cut, durability_report, loss):
    """Again and again, before recovery has come to its end."""
    r, disk = cut()
    r.server.start()
    loads = r.load("s", recipient="a@example.net", sizes=[100, 5000])
    wait_for(enough(loads, 40), 60, "some mail")
    disk.cut(loss, 1, 20)
    disk.wait_off()
    r.server.kill()
    r.keep(loads)
    disk.on()
    cuts = 0
    for round in range(r.rounds * 3):
        disk.cut(loss, round, 1 + r.chance.randrange(4 * (round + 1)))
        begun = r.server.log_path.stat().st_size
        r.server.start(wait=False)
        cuts += disk.wait_off(unless=lambda: "event=ready" in r.server.log()[begun:])
        r.server.kill()
        disk.on()
    r.open_hop()
    r.server.start()
    seen = r.wait_all()
    r.recovered(damaged=0)
    durability_report.row(f"power cut while starting, {cuts} times; {LOSSES[loss]}", KEPT, seen)


@pytest.mark.parametrize("loss", ["drop", "tear", "reorder"])
def test_power_cut_while_compacting(cut, durability_report, loss, monkeypatch):
    """Segments of 1 MiB; some mail waits for a hop, much mail comes and goes."""
    monkeypatch.setattr("harness.BINARY", str(tool("rockdove-small")))
    r, disk = cut()
    for round in range(r.rounds):
        r.server.start()
        waiting = r.load(f"w{round}", count=2, recipient="a@example.net", sizes=[100, 20_000])
        going = r.load(f"g{round}", count=4, recipient="a@example.com", sizes=[100_000, 300_000])

        def has_moved():
            return r.stats()["spool"]["moved_messages"] > 0
        wait_for(has_moved, 60, "compaction")
        disk.cut(loss, r.chance.randrange(1 << 30), r.chance.randrange(1, 200))
        disk.wait_off()
        r.server.kill()
        r.keep(waiting), r.keep(going)
        disk.on()
    r.open_hop()
    r.server.start()
    seen = r.wait_all()
    r.recovered(damaged=0)
    durability_report.row(f"power cut while compacting, {r.rounds} times; {LOSSES[loss]}", KEPT, seen)


# ---- the disk fails ----

def fails_and_heals(r, fail, heal, recipient="a@example.net", heard=None):
    """Under load: `fail` for a while, then `heal`; nobody is told 250 in between who should not be."""
    r.open_hop()
    r.server.start()
    loads = r.load("f", recipient=recipient, sizes=[100, 4000, 50_000])
    wait_for(enough(loads, 20), 60, "some mail")
    fail()
    wait_for(lambda: loads.refused() >= 10, 60, "mail is refused")
    if heard:
        r.server.wait_log(heard)
    heal()
    before = len(loads.acknowledged())
    wait_for(lambda: len(loads.acknowledged()) >= before + 20, 60, "mail is taken again")
    r.keep(loads)
    r.server.kill()


def test_disk_full(cut, durability_report, monkeypatch):
    """Small segments: what is there already is used up before mail is refused."""
    monkeypatch.setattr("harness.BINARY", str(tool("rockdove-small")))
    r, disk = cut()
    fails_and_heals(r, lambda: disk.order("size 1"), lambda: disk.order(f"size {8 << 30}"), recipient="a@example.com")
    r.server.start()
    durability_report.row("disk full under load, then room again; then SIGKILL",
                          f"452 while it is full, mail is taken again by itself; {KEPT}", r.wait_all())


def test_read_only(cut, durability_report):
    r, disk = cut()
    fails_and_heals(r, lambda: disk.order("readonly on"), lambda: disk.order("readonly off"),
                    heard="event=spool-sick")
    r.server.start()
    durability_report.row("the file system becomes read-only (EROFS) under load, then writable; then SIGKILL",
                          f"452, mail is taken again by itself; {KEPT}", r.wait_all())


def test_writes_fail(cut, durability_report):
    r, disk = cut()
    fails_and_heals(r, lambda: disk.order("fail write"), lambda: disk.order("fail none"),
                    heard="event=spool-sick")
    disk.tell("cut drop 1 0")
    disk.wait_off()
    disk.on()
    r.server.start()
    durability_report.row("EIO on write and sync for a while under load; then the power is cut",
                          f"452, mail is taken again by itself; {KEPT}", r.wait_all())


def test_a_sync_fails_once_and_then_lies(cut, durability_report):
    """As Linux does: after EIO the pages count as clean, and the next sync of the file succeeds."""
    r, disk = cut()
    failed = 0
    for round in range(r.rounds):
        r.server.start()
        loads = r.load(f"l{round}", recipient="a@example.net", sizes=[100, 4000, 50_000])
        wait_for(enough(loads, 10), 60, "some mail")
        assert disk.order("fail sync")
        assert disk.answer() == "sync failed"
        failed += 1
        before = len(loads.acknowledged())
        wait_for(lambda: len(loads.acknowledged()) >= before + 20, 60, "mail is taken again")
        disk.cut("drop", round, 1)
        disk.wait_off()
        r.server.kill()
        r.keep(loads)
        disk.on()
    r.open_hop()
    r.server.start()
    durability_report.row(f"a sync ends in EIO, later ones lie, then the power is cut; {failed} times",
                          f"452 to those whose mail was in that sync; {KEPT}", r.wait_all())


# ---- the machine is short, or wrong ----

def test_descriptors_run_out(rig, durability_report):
    r = rig()
    r.open_hop()
    r.server.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)))
    loads = r.load("d", recipient="a@example.net", sizes=[100, 4000])
    mailbox = r.load("m", recipient="a@example.com", sizes=[100, 4000])
    wait_for(enough(loads, 20), 60, "some mail")
    idle = []
    for _ in range(200):
        idle.append(socket.create_connection(("127.0.0.1", r.server.port)))
    r.server.wait_log("event=accept-paused", timeout=30)
    count = len(loads.acknowledged())
    wait_for(enough(loads, count + 20), 60, "mail of those who are connected")
    for connection in idle:
        connection.close()
    with r.server.talk(timeout=30) as t:
        assert t.mail("b@example.com", "Subject: after.1\r\n\r\nx\r\n").startswith("250")
    r.keep(loads), r.keep(mailbox)
    seen = r.wait_all()
    assert r.server.stop() == 0
    durability_report.row("no descriptors left (80, and 200 idle clients), under load",
                          f"clients wait or get 421, sessions go on, all is well when they leave; {KEPT}", seen)


@contextlib.contextmanager
def wall_clock(directory):
    """A function that sets by how many seconds the server's wall clock is off, and the environment for it."""
    file = directory / "clock"
    file.write_bytes(struct.pack("q", 0))
    with open(file, "r+b") as f, mmap.mmap(f.fileno(), 8) as page:
        def jump(seconds):
            page[:8] = struct.pack("q", seconds)
        yield jump, {**os.environ, "LD_PRELOAD": str(tool("libwallclock.so")), "WALL_CLOCK": str(file)}


def test_the_clock_jumps(rig, durability_report, tmp_path):
    """Back by a day, forth by an hour, under load; mail waits for a hop meanwhile, over restarts too."""
    r = rig()
    with wall_clock(tmp_path) as (jump, environment):
        r.server.start(env=environment)
        jumps = [-86_400, 3600, -3600 * 24 * 400, 0]
        for i, seconds in enumerate(jumps):
            loads = r.load(f"c{i}", count=3, recipient="a@example.net", sizes=[100, 4000])
            local = r.load(f"d{i}", count=1, recipient="a@example.com", sizes=[100, 4000])
            wait_for(enough(loads, 10), 60, "some mail")
            jump(seconds)
            count = len(loads.acknowledged())
            wait_for(enough(loads, count + 10), 60, "more mail")
            if i % 2:
                r.server.kill()
                r.server.start(env=environment)
            r.keep(loads), r.keep(local)
        jump(-86_400)  # what is due is due a day later than it was
        r.server.kill()
        r.open_hop()
        r.server.start(env=environment)
        seen = r.wait_all()
        r.recovered(damaged=0)
    durability_report.row("the wall clock jumps: a day back, an hour forth, 400 days back; SIGKILL in between",
                          f"nothing expires, nothing waits for the clock to catch up; {KEPT}", seen)


# ---- octets of the disk are spoilt ----

def spoil(path, offset, count, chance):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(chance.randbytes(count))


def header(path):
    """(generation, freed?) of a segment; None: blank."""
    octets = path.read_bytes()[:48]
    if octets[:8] != b"rdspool1":
        return None
    return struct.unpack_from("<Q", octets, 16)[0], struct.unpack_from("<I", octets, 40)[0] == 1


def trailer(path):
    """(end of records, octets of the index) of a sealed segment; None: it is open."""
    octets = path.read_bytes()[-72:]
    if octets[:8] != b"rdindex1":
        return None
    end, _, entries, domains = struct.unpack_from("<QQII", octets, 32)
    return (end, entries + domains) if end else None


def segments(spool):
    """[(generation, path, end, index)] of the log, oldest first; end None: not sealed."""
    found = []
    for path in spool.glob("log-*"):
        head = header(path)
        if head and not head[1]:
            found.append((head[0], path, *(trailer(path) or (None, None))))
    return sorted(found)


def is_open_with_mail(r):
    """Whether the newest segment is open, and has a message in it."""
    newest = segments(r.server.state / "spool")[-1]
    return newest[2] is None and b"Subject: b" in newest[1].read_bytes()


def fill_spool(r):
    """A spool of several small segments, full of waiting mail; the server has been killed."""
    r.server.start()
    loads = r.load("b", recipient="a@example.net", sizes=[3000, 20_000, 60_000])
    wait_for(lambda: len(segments(r.server.state / "spool")) >= 4, 60, "several segments")
    r.keep(loads)
    for i in range(20):
        loads = r.load(f"b{i}", count=1, recipient="a@example.net", sizes=[3000])
        wait_for(enough(loads, 1), 60, "some more mail")
        r.keep(loads)
        if is_open_with_mail(r):
            break
    r.server.kill()
    return segments(r.server.state / "spool")


def of_message(r, segment):
    """Octets of a message in a segment: (offset, its serial)."""
    octets = segment[1].read_bytes()[:segment[2]]
    serial = next(s for s in sorted(r.promised) if b"Subject: %s\r\n" % s.encode() in octets)
    return octets.index(b"Subject: %s\r\n" % serial.encode()) + 40


DAMAGE = {  # what: (messages that may be lost, promise, what tells)
    "a message in a sealed segment": (1, "it alone is lost at most, and told", "event=spool-message-damaged"),
    "a message in the open segment": (1, "it alone is lost at most, and told", "event=spool-damage"),
    "the index of a sealed segment": (0, "told; the records are read instead, nothing is lost", "event=spool-damage"),
    "the trailer of a sealed segment": (0, "the records are read instead, nothing is lost", "recovered"),
    "the header of a sealed segment": (0, "told; first record and trailer tell the same, nothing is lost", "event=spool-damage"),
    "the header of the open segment": (0, "told; first record and trailer tell the same, nothing is lost", "event=spool-damage"),
}


@pytest.mark.parametrize("where", DAMAGE)
def test_damaged(rig, durability_report, where, monkeypatch):
    monkeypatch.setattr("harness.BINARY", str(tool("rockdove-small")))
    r = rig()
    log = fill_spool(r)
    sealed = [s for s in log if s[2]][1]
    opened = [s for s in log if not s[2]][-1]
    size = sealed[1].stat().st_size
    index = size - 72 - sealed[3]
    path, offset, octets = {
        "a message in a sealed segment": lambda: (sealed[1], of_message(r, sealed), 16),
        "a message in the open segment": lambda: (opened[1], of_message(r, opened), 16),
        "the index of a sealed segment": lambda: (sealed[1], index + sealed[3] // 2, 16),
        "the trailer of a sealed segment": lambda: (sealed[1], size - 60, 40),
        "the header of a sealed segment": lambda: (sealed[1], 8, 40),
        "the header of the open segment": lambda: (opened[1], 8, 40),
    }[where]()
    spoil(path, offset, octets, r.chance)
    r.open_hop()
    r.server.start()
    but, promise, tells = DAMAGE[where]
    seen = r.wait_all(but=but)
    r.server.wait_log(tells)
    durability_report.row(f"damaged: {octets} octets of {where}", promise, seen)


def test_a_segment_is_missing(rig, durability_report, monkeypatch):
    monkeypatch.setattr("harness.BINARY", str(tool("rockdove-small")))
    r = rig()
    log = fill_spool(r)
    inside = {s for s in r.promised if s.encode() in log[1][1].read_bytes()}
    log[1][1].unlink()
    r.open_hop()
    r.server.start()
    seen = r.wait_all(but=len(inside) + 1)
    r.server.wait_log("event=spool-damage")
    durability_report.row("damaged: a segment has been deleted", "what was in it is lost, and told; nothing else", seen)


def test_the_history_is_damaged(rig, durability_report):
    r = rig()
    r.server.start()
    loads = r.load("h", recipient="a@example.com", sizes=[100, 1000])
    wait_for(enough(loads, 50), 60, "some mail")
    r.keep(loads)
    r.wait_all()
    assert r.server.stop() == 0
    files = sorted((r.server.state / "history").iterdir())
    octets = files[0].stat().st_size
    spoil(files[0], octets // 2, 64, r.chance)
    r.server.start()
    loads = r.load("i", recipient="a@example.com", sizes=[100, 1000])
    wait_for(enough(loads, 20), 60, "more mail")
    r.keep(loads)
    seen = r.wait_all()

    def told():
        out = r.server.run("trace", "--json", "a@example.com", check=True).stdout.decode()
        return out.count('"id"')
    wait_for(lambda: told() > 0, 30, "trace tells something")
    durability_report.row("damaged: 64 octets of the history", f"mail does not care, trace tells the rest; {KEPT}", seen)
