"""What TLS costs: bench/tls.c against a listener that speaks it from the first octet."""

import threading

import load
from process import free_port
from scenario import Goal, Scenario, ratio, spent
from servers import OpensslServer, Rockdove


class Secure(Rockdove):
    """With one more listener."""

    def __init__(self, bench):
        self.tls_port = free_port()
        super().__init__(bench, more=f'listen secure {{ bind = ["127.0.0.1:{self.tls_port}"], tls = implicit }}')


class Handshakes(Scenario):
    name = "tls-handshakes"
    title = "New TLS 1.3 sessions with a P-256 key, 20 at a time"
    figures = 4
    subjects = ("rockdove", "openssl s_server")
    columns = (("handshakes a second", "per_second", ""), ("CPU a handshake", "cpu_us", " µs"),
               ("a second and core", "per_core", ""))

    def measure(self, subject):
        seconds = 2 if self.bench.quick else 6
        # s_server serves one client at a time: what it costs, not how long it takes, is compared.
        with (Secure if subject == "rockdove" else OpensslServer)(self.bench) as server:
            load.tls(self.bench, "handshakes", server.tls_port, 2, 1)
            server.settle()
            cpu = server.group.cpu()
            said = load.tls(self.bench, "handshakes", server.tls_port, 20 if subject == "rockdove" else 1, seconds)
            server.settle()
            cost = (server.group.cpu() - cpu) / said["done"]
            return {"per_second": said["done"] / said["seconds"], "cpu_us": cost * 1e6, "per_core": 1 / cost}

    def goals(self, of):
        return [Goal("handshakes a second and core, share of openssl s_server's",
                     ratio(of("rockdove", "per_core"), of("openssl s_server", "per_core")), low=0.8)]


class AcceptSecure(Scenario):
    name = "tls-accept-4k-c100"
    title = "Accepting 4 KiB, 100 connections kept open, over TLS and in clear (bench/tls.c)"
    figures = 4
    subjects = ("over TLS", "in clear")
    columns = (("messages/s", "per_second", ""), ("CPU a message", "cpu_us", " µs"))

    def measure(self, subject):
        messages = self.size(40000)
        with Secure(self.bench) as server:
            port, how = (server.tls_port, "implicit") if subject == "over TLS" else (server.port, "clear")
            load.tls(self.bench, "mail", port, 100, 2000, 4096, how)
            server.settle()
            self.bench.sync()
            cpu = server.group.cpu()
            said = load.tls(self.bench, "mail", port, 100, messages, 4096, how)
            return spent(server, messages, said["seconds"], cpu)

    def goals(self, of):
        return [Goal("rate over TLS, share of that in clear",
                     ratio(of("over TLS", "per_second"), of("in clear", "per_second")), low=0.7)]


class Flood(Scenario):
    """The flood's own work is done by others in earnest: here it gets what the server leaves (nice 19)."""
    name = "tls-flood"
    title = "NOOP in clear, while 50 clients do nothing but shake hands"
    figures = 4
    subjects = ("quiet", "flood")
    columns = (("median", "p50_ms", " ms"), ("99th percentile", "p99_ms", " ms"),
               ("handshakes a second", "per_second", ""))

    def measure(self, subject):
        seconds = 3 if self.bench.quick else 8
        with Secure(self.bench) as server:
            load.tls(self.bench, "handshakes", server.tls_port, 2, 1)
            if subject == "quiet":
                return load.tls(self.bench, "probe", server.port, seconds)
            flood = {}

            def run():
                flood.update(load.tls(self.bench, "handshakes", server.tls_port, 50, seconds + 2, nice=19))
            thread = threading.Thread(target=run)
            thread.start()
            try:
                threading.Event().wait(1)
                said = load.tls(self.bench, "probe", server.port, seconds)
            finally:
                thread.join()
            return dict(said, per_second=flood["done"] / flood["seconds"])

    def goals(self, of):
        return [Goal("99th percentile, times the quiet one", ratio(of("flood", "p99_ms"), of("quiet", "p99_ms")), high=3)]


ALL = (Handshakes, AcceptSecure, Flood)
