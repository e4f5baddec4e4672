"""What is measured.  A scenario names its subjects, measures one of them once, and says what was aimed at."""

import json
import signal
import statistics
import time

import load
import tls_scenarios
from load import Refused
from scenario import Goal, Scenario, number, ratio, spent
from servers import Discard, Postfix, Rockdove, SmtpSink


RATE = (("messages/s", "per_second", ""), ("CPU a message", "cpu_us", " µs"))
DISK = (("disk flushes", "disk_flushes", ""), ("messages a flush", "per_flush", ""),
        ("block writes a flush", "writes_per_flush", ""), ("written / mail", "amplification", ""))


class Accept(Scenario):
    """smtp-source, or bench/pipeline.c, until the last 250; nothing is delivered meanwhile."""
    figures = 2
    subjects = ("rockdove", "Postfix", "smtp-sink", "discard")
    connections, octets, keep = 100, 4096, True
    counts = {"rockdove": 50000, "Postfix": 3000, "smtp-sink": 30000, "discard": 50000}
    columns = RATE + DISK + (("memory, most", "peak_mib", " MiB"),)

    def server(self, subject):
        self.pipelined = subject.endswith("pipelined")
        subject = subject.split(",")[0]
        if subject == "rockdove":
            return Rockdove(self.bench)
        if subject == "Postfix":
            return Postfix(self.bench, hold=True)
        return SmtpSink(self.bench) if subject == "smtp-sink" else Discard(self.bench)

    def drive(self, server, messages):
        """Seconds it took."""
        if not self.pipelined:
            return load.smtp_source(server.port, self.connections, messages, self.octets, self.keep)
        self.said = load.pipeline(self.bench, server.port, self.connections, messages, self.octets)
        return self.said["seconds"]

    def measure(self, subject):
        messages = self.size(self.counts[subject])
        with self.server(subject) as server:
            self.drive(server, max(self.connections * 5, messages // 20))  # everything is warm then
            server.settle()
            self.bench.sync()
            before, disk = stats(server), self.bench.disk.counts()
            with load.Peak(server.group) as peak:
                cpu = server.group.cpu()
                found = spent(server, messages, self.drive(server, messages), cpu)
            if server.durable:
                found.update(self.bench.disk.since(disk))
            after = stats(server)
            if after:
                if after["queue"]["messages"] - before["queue"]["messages"] != messages:
                    raise Refused("not all that was answered 250 is in the queue")
                found["syncs"] = after["spool"]["syncs"] - before["spool"]["syncs"]
            found["peak_mib"] = peak.octets / 2**20
            return self.derive(found, messages)

    def derive(self, found, messages):
        if self.pipelined:
            found.update((key, self.said[key]) for key in ("p50_us", "p99_us"))
        flushes = found.get("disk_flushes")
        if flushes:
            found["per_flush"] = messages / flushes
            found["writes_per_flush"] = found["disk_writes"] / flushes
            found["amplification"] = found["disk_octets"] / (messages * self.octets)
        if found.get("syncs"):
            found["per_sync"] = messages / found["syncs"]
            if flushes:
                found["flushes_per_sync"] = flushes / found["syncs"]
                found["writes_per_sync"] = found["disk_writes"] / found["syncs"]
        return found


def stats(server):
    """The server's own counters; {} of a server that has none."""
    if not isinstance(server, Rockdove):
        return {}
    said = server.command("queue", "stats", "--json")
    if said.returncode != 0:
        raise Refused("queue stats: " + (said.stderr or said.stdout)[-200:])
    return json.loads(said.stdout)


class AcceptKept(Accept):
    name = "accept-4k-c100"
    title = "Accepting 4 KiB, 100 connections kept open (smtp-source -d)"
    subjects = (*Accept.subjects, "rockdove, pipelined")
    counts = {**Accept.counts, "rockdove, pipelined": 80000}

    def goals(self, of):
        rate, ceiling, postfix = (of(s, "per_second") for s in ("rockdove", "discard", "Postfix"))
        if ceiling and postfix:
            text = "of 10 times Postfix's rate, or of the ceiling when that is less"
            both = [Goal("rate, share " + text, ratio(rate, min(10 * postfix, ceiling)), low=1)]
        else:
            both = []
        return [Goal("rate, share of the generator's ceiling", ratio(rate, ceiling), low=0.7), *both,
                Goal("CPU a message, Postfix's over rockdove's",
                     ratio(of("Postfix", "cpu_us"), of("rockdove", "cpu_us")), low=20),
                Goal("messages a sync", of("rockdove", "per_sync") or of("rockdove", "per_flush"), low=15),
                Goal("block writes a sync", of("rockdove", "writes_per_sync") or of("rockdove", "writes_per_flush"),
                     high=2.5),
                Goal("flushes a sync", of("rockdove", "flushes_per_sync"), high=1.05)]


class AcceptLarge(Accept):
    name = "accept-100k-c100"
    title = "Accepting 100 KiB, 100 connections kept open (smtp-source -d)"
    octets = 102400
    counts = {"rockdove": 8000, "Postfix": 1500, "smtp-sink": 4000, "discard": 12000}

    def goals(self, of):
        return [Goal("rate, times Postfix's", ratio(of("rockdove", "per_second"), of("Postfix", "per_second")), low=5),
                Goal("memory, most", of("rockdove", "peak_mib"), high=200, unit=" MiB")]


class AcceptNew(Accept):
    name = "accept-4k-new"
    title = "Accepting 4 KiB, 100 at a time, a new connection for each message"
    keep = False
    counts = {"rockdove": 15000, "Postfix": 1500, "smtp-sink": 15000, "discard": 15000}


class AcceptOne(Accept):
    name = "accept-4k-c1"
    title = "Accepting 4 KiB over one connection"
    subjects = ("rockdove", "rockdove, pipelined", "Postfix", "discard", "discard, pipelined", "disk alone")
    connections = 1
    counts = {"rockdove": 6000, "rockdove, pipelined": 8000, "Postfix": 600, "discard": 8000,
              "discard, pipelined": 30000}
    columns = RATE + (("250 after the end, median", "p50_us", " µs"), ("99th percentile", "p99_us", " µs")) + DISK[:3]

    def measure(self, subject):
        if subject == "disk alone":
            self.bench.sync()
            found = load.raw_sync(self.bench, 0.5 if self.bench.quick else 2)
            return dict(found, messages=found["operations"])
        return super().measure(subject)

    def goals(self, of):
        raw = of("disk alone", "per_second")
        return [Goal("commits a second of the disk's own, pipelining client",
                     ratio(of("rockdove, pipelined", "per_second"), raw), low=0.6),
                Goal("the same, smtp-source -d: four round trips a message",
                     ratio(of("rockdove", "per_second"), raw), low=0.6)]


def idle(server, connect, count):
    """What so many connections cost, made by connect(port, count)."""
    before = server.group.memory()
    open_ones = connect(server.port, count)
    try:
        time.sleep(1)
        after, cpu = server.group.memory(), server.group.cpu()
        time.sleep(5)
        spent_idle = server.group.cpu() - cpu
    finally:
        load.close_all(open_ones)
    return {"connections": count, "before_mib": before / 2**20, "after_mib": after / 2**20,
            "octets_each": (after - before) / count, "idle_ms": spent_idle * 1e3}


class Idle(Scenario):
    """PSS of the server's processes before and after so many connections that have said EHLO."""
    name = "idle"
    title = "Connections that have said EHLO and wait"
    figures = 2
    subjects = ("rockdove", "Postfix")
    columns = (("connections", "connections", ""), ("memory before", "before_mib", " MiB"),
               ("memory a connection", "octets_each", " B"), ("CPU over 5 s of silence", "idle_ms", " ms"))

    def measure(self, subject):
        count = 5000 if subject == "rockdove" else 200
        made = Rockdove(self.bench) if subject == "rockdove" else \
            Postfix(self.bench, hold=True, process_limit=count + 50)
        with made as server:
            load.smtp_source(server.port, 20, 400, 4096)
            server.settle()
            return idle(server, load.open_idle, count)

    def goals(self, of):
        return [Goal("memory a connection", of("rockdove", "octets_each"), high=1024, unit=" B")]


class IdleTls(Scenario):
    """The same over TLS; those that have opened it and left before have warmed what all share."""
    name = "idle-tls"
    title = "Connections that have said EHLO under TLS and wait"
    figures = 4
    subjects = ("rockdove",)
    columns = Idle.columns

    def measure(self, subject):
        count = self.size(2000)
        with Rockdove(self.bench, tls="starttls") as server:
            load.close_all(load.open_idle_tls(server.port, 100))
            server.settle()
            return idle(server, load.open_idle_tls, count)

    def goals(self, of):
        return [Goal("memory a connection", of("rockdove", "octets_each"), high=18 * 1024, unit=" B")]


class Queued(Scenario):
    """500,000 messages of 1 KiB for a next hop that refuses connections."""
    name = "queued"
    title = "500,000 messages waiting, and starting with them"
    figures = 2
    subjects = ("rockdove",)
    columns = (("messages", "messages", ""), ("memory a message", "octets_each", " B"),
               ("start until 220", "start_s", " s"), ("start after a kill", "start_killed_s", " s"),
               ("memory after start, a message", "octets_each_started", " B"))
    count = 500000

    def measure(self, subject):
        messages, first = self.size(self.count), 2000
        with Rockdove(self.bench) as server:
            load.pipeline(self.bench, server.port, 50, first, 1024)
            server.settle()
            before = server.group.memory()
            load.pipeline(self.bench, server.port, 50, messages, 1024)
            server.settle(30)
            found = {"messages": messages, "before_mib": before / 2**20,
                     "octets_each": (server.group.memory() - before) / messages}
            server.stop()
            found["start_s"] = server.start()
            server.settle(20)
            found["octets_each_started"] = (server.group.memory() - before) / messages
            server.stop(signal.SIGKILL)
            found["start_killed_s"] = server.start()
            return found

    def goals(self, of):
        return [Goal("memory a queued message", of("rockdove", "octets_each"), high=64, unit=" B"),
                Goal("start until 220", of("rockdove", "start_s"), high=1, unit=" s")]


class Relay(Scenario):
    """smtp-source to the server to smtp-sink, until the sink has all."""
    name = "relay-4k-c100"
    title = "Relaying 4 KiB: smtp-source -d, 100 connections, to smtp-sink, until all is there"
    figures = 3
    subjects = ("rockdove", "Postfix", "smtp-sink alone", "discard alone")
    columns = RATE + DISK[:2] + (("accepted in", "input_s", " s"),)
    counts = {"rockdove": 30000, "Postfix": 1500, "smtp-sink alone": 30000, "discard alone": 50000}

    def measure(self, subject):
        messages = self.size(self.counts[subject])
        if subject.endswith("alone"):
            with (SmtpSink if subject.startswith("smtp-sink") else Discard)(self.bench) as server:
                load.smtp_source(server.port, 100, 500, 4096)
                self.bench.sync()
                cpu = server.group.cpu()
                return spent(server, messages, load.smtp_source(server.port, 100, messages, 4096), cpu)
        with SmtpSink(self.bench) as sink:
            made = Rockdove(self.bench, sink.port) if subject == "rockdove" else Postfix(self.bench, sink.port)
            with made as server:
                load.smtp_source(server.port, 100, 500, 4096)
                load.until(sink.messages, 500, 60)
                server.settle()
                self.bench.sync()
                had, disk, cpu, began = sink.messages(), self.bench.disk.counts(), server.group.cpu(), time.monotonic()
                taken = load.smtp_source(server.port, 100, messages, 4096)
                ended = load.until(sink.messages, had + messages, 120)
                found = spent(server, messages, ended - began, cpu)
                found.update(self.bench.disk.since(disk), input_s=taken)
                if found.get("disk_flushes"):
                    found["per_flush"] = messages / found["disk_flushes"]
                return found

    def goals(self, of):
        rate, postfix = of("rockdove", "per_second"), of("Postfix", "per_second")
        slower = [v for v in (of("smtp-sink alone", "per_second"), of("discard alone", "per_second")) if v]
        goals = []
        if postfix and slower:
            goals.append(Goal("rate, share of 8 times Postfix's, or of 0.6 of the slower of generator and sink, "
                              "whichever is less", ratio(rate, min(8 * postfix, 0.6 * min(slower))), low=1))
        return goals + [Goal("CPU a message, Postfix's over rockdove's",
                             ratio(of("Postfix", "cpu_us"), of("rockdove", "cpu_us")), low=20)]


class Client(Scenario):
    """A queue that waits for a next hop; then that is there, and takes all it gets: bench/discard.c."""
    name = "client"
    title = "Delivering alone: a full queue to a fast next hop, 10 connections"
    figures = 3
    subjects = ("rockdove, DATA", "rockdove, BDAT")
    columns = RATE + (("connections", "connections", ""),)

    def measure(self, subject):
        messages = self.size(60000)
        with Rockdove(self.bench, connections=10) as server:
            load.pipeline(self.bench, server.port, 50, messages, 4096)
            server.settle()
            self.bench.sync()
            with Discard(self.bench, port=server.next_hop, chunking=subject.endswith("BDAT")) as hop:
                # One message asked for by name wakes its destination, and so all the others.
                one = server.first_id()
                cpu, began = server.group.cpu(), time.monotonic()
                said = server.command("queue", "retry", one)
                if said.returncode != 0:
                    raise Refused("queue retry: " + (said.stderr or said.stdout)[-200:])
                ended = load.until(hop.messages, messages, 120)
                server.settle()
                return dict(spent(server, messages, ended - began, cpu), connections=hop.connections())

    def goals(self, of):
        return [Goal(f"CPU a message, {how}", of("rockdove, " + how, "cpu_us"), high=25, unit=" µs")
                for how in ("DATA", "BDAT")]


class Dead(Scenario):
    """1,000,000 messages of 1 KiB for a destination that refuses, and mail for another one beside them."""
    name = "dead"
    title = "1,000,000 messages to a dead destination, and another one beside it"
    figures = 3
    subjects = ("rockdove",)
    columns = (("messages", "messages", ""), ("memory more than empty", "more_mib", " MiB"),
               ("CPU at rest", "idle_percent", " % of a core"), ("another destination, before", "before_per_second", "/s"),
               ("the same, with them", "beside_per_second", "/s"))

    def other(self, server, hop, messages):
        had, began = hop.messages(), time.monotonic()
        load.smtp_source(server.port, 100, messages, 4096, recipient="b@live.test")
        return messages / (load.until(hop.messages, had + messages, 120) - began)

    def measure(self, subject):
        messages, probe, rest = self.size(1000000), self.size(20000), 5 if self.bench.quick else 30
        with Discard(self.bench) as hop:
            live = f'route "live.test" {{ to = "smtp:127.0.0.1:{hop.port}", tls = off, allow_loopback = true }}'
            with Rockdove(self.bench, more=live) as server:
                self.other(server, hop, probe)
                before = statistics.median(self.other(server, hop, probe) for _ in range(3))
                server.settle()
                empty = server.group.memory()
                load.pipeline(self.bench, server.port, 50, messages, 1024, patience=600)
                server.settle(30)
                more, cpu, began = server.group.memory() - empty, server.group.cpu(), time.monotonic()
                time.sleep(rest)
                idle = (server.group.cpu() - cpu) / (time.monotonic() - began)
                beside = statistics.median(self.other(server, hop, probe) for _ in range(3))
                return {"messages": messages, "more_mib": more / 2**20, "idle_percent": idle * 100,
                        "before_per_second": before, "beside_per_second": beside}

    def goals(self, of):
        return [Goal("memory more than empty", of("rockdove", "more_mib"), high=100, unit=" MiB"),
                Goal("CPU at rest", of("rockdove", "idle_percent"), high=1, unit=" %"),
                Goal("another destination's rate, share of that without",
                     ratio(of("rockdove", "beside_per_second"), of("rockdove", "before_per_second")), low=0.9)]


class FirstByte(Scenario):
    """One message at a time, unloaded; a clock on both sides of the server."""
    name = "first-byte"
    title = "From 250 to the first octet at the next hop"
    figures = 3
    subjects = ("rockdove", "Postfix")
    columns = (("messages", "messages", ""), ("median", "p50_ms", " ms"), ("99th percentile", "p99_ms", " ms"),
               ("connections opened", "opened", ""))

    def measure(self, subject):
        messages = self.size(300)
        hop = load.Hop()
        try:
            made = Rockdove(self.bench, hop.port) if subject == "rockdove" else Postfix(self.bench, hop.port)
            with made as server:
                found = sorted(hop.latencies(server.port, messages)[5:])
                return {"messages": len(found), "p50_ms": max(0.0, statistics.median(found) * 1e3),
                        "p99_ms": found[len(found) * 99 // 100] * 1e3, "opened": hop.opened}
        finally:
            hop.close()

    def goals(self, of):
        return [Goal("median, connection open", of("rockdove", "p50_ms"), high=5, unit=" ms")]


ALL = (AcceptKept, AcceptLarge, AcceptOne, AcceptNew, Idle, IdleTls, Queued, Relay, Client, Dead, FirstByte, *tls_scenarios.ALL)
