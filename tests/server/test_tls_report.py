"""TLS reports (RFC 8460): what is counted, and how it gets to those who ask for it."""
import email
import functools
import gzip
import http.server
import json
import os
import threading
import time

import pytest

from harness import wait_for
from peers import Authority, dns
from test_mta_sts import Web, policy_text

FAST = 'queue { retry = ["1s"] }\n'


class Collector(http.server.ThreadingHTTPServer):
    """Takes reports by POST."""
    daemon_threads = True

    def __init__(self, context):
        self.reports, self.status, self.posts = [], 201, 0
        super().__init__(("127.0.0.1", 0), Post)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        pass


class Post(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/tlsrpt+gzip"
        self.server.posts += 1
        if self.server.status // 100 == 2:
            self.server.reports.append(json.loads(gzip.decompress(content)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hops(hops):
    """Where the zones say."""
    return functools.partial(hops, host="127.0.1.1")


@pytest.fixture
def servers():
    made = []
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.fixture
def far(make_server, authority, tmp_path):
    """far(hop, zone): a server whose mail for far.test goes to the hop's port, and reports of `period`."""
    contexts = []

    def make(hop, zone, more="", period="4s", name="server", start=True):
        context = dns(tmp_path / f"dns-{name}", {"far.test": "@ MX 10 mx\nmx A 127.0.1.1\n" + zone})
        port = context.__enter__()
        contexts.append(context)
        server = make_server(
            f'domain "example.com" {{ users = "*" }}\n{FAST}dns {{ servers = ["127.0.0.1:{port}"], validate = off }}\n'
            f'route "*" {{ to = mx, port = {hop.port}, allow_loopback = true }}\n'
            f'tls_report {{ from = "tls-reports@example.com", contact = "postmaster@example.com", organization = "Example", '
            f'period = {period} }}\n{more}', start=False, name=name)
        server.environment = dict(os.environ, SSL_CERT_FILE=str(authority.roots), SSL_CERT_DIR="/nowhere")
        return server.start(env=server.environment) if start else server
    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def send(server, to="x@far.test"):
    with server.talk() as t:
        t.mail(to, sender="sender@example.com")


def report_in(content):
    """(message, report) of a mailed one."""
    message = email.message_from_bytes(content)
    text, attachment = message.get_payload()
    assert text.get_content_type() == "text/plain"
    assert attachment.get_content_type() == "application/tlsrpt+gzip"
    return message, json.loads(gzip.decompress(attachment.get_payload(decode=True)))


def mailed(hop, timeout=40):
    """The first report that the hop has got."""
    def found():
        return [m for m in hop.messages if b"report-type=" in m[2]]
    return wait_for(found, timeout, "a report")[0]


def sums(report):
    """Successes, and failures by kind, over all policies."""
    succeeded, failed = 0, {}
    for p in report["policies"]:
        succeeded += p["summary"]["total-successful-session-count"]
        details = p.get("failure-details", [])
        assert sum(d["failed-session-count"] for d in details) == p["summary"]["total-failure-session-count"]
        for d in details:
            failed[d["result-type"]] = failed.get(d["result-type"], 0) + d["failed-session-count"]
    return succeeded, failed


def test_report_by_mail(hops, far, authority):
    hop = hops(tls=authority.server("mx.far.test"))
    server = far(hop, '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@far.test"\n')
    send(server)
    sender, recipients, content = mailed(hop)
    assert (sender, recipients) == ("", ["reports@far.test"])
    message, report = report_in(content)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "tlsrpt"
    assert message["TLS-Report-Domain"] == "far.test" and message["TLS-Report-Submitter"] == "mail.example.com"
    assert message["From"] == "<tls-reports@example.com>" and message["To"] == "<reports@far.test>"
    subject = " ".join(message["Subject"].split())
    assert subject == f"Report Domain: far.test Submitter: mail.example.com Report-ID: <{report['report-id']}>"
    assert message.get_payload()[1].get_filename().startswith("mail.example.com!far.test!")
    assert (report["organization-name"], report["contact-info"]) == ("Example", "postmaster@example.com")
    assert report["date-range"]["start-datetime"] < report["date-range"]["end-datetime"]
    policy, = report["policies"]
    assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "far.test"}
    assert sums(report) == (1, {})
    server.wait_log("tls-report-sent", "domain=far.test", "to=mailto:reports@far.test")
    # What brought the report is not worth another one.
    time.sleep(9)
    assert len([m for m in hop.messages if b"report-type=" in m[2]]) == 1


def test_report_by_https(hops, far, authority, servers):
    """The collector is not ready at first; it gets the report once."""
    hop = hops()
    collector = Collector(authority.server("127.0.0.1"))
    servers.append(collector)
    collector.status = 503
    server = far(hop, f'_smtp._tls TXT "v=TLSRPTv1; rua=https://127.0.0.1:{collector.server_port}/report"\n', period="20s")
    send(server)
    hop.wait()
    server.wait_log("tls-report-failed", "the web server answers 503", timeout=60)
    collector.status = 200
    wait_for(lambda: collector.reports, 30, "the report")
    report = collector.reports[0]
    assert sums(report) == (0, {"starttls-not-supported": 1})
    detail = report["policies"][0]["failure-details"][0]
    assert detail["receiving-mx-hostname"] == "mx.far.test" and detail["receiving-ip"] == "127.0.1.1"
    assert detail["sending-mta-ip"].startswith("127.")
    time.sleep(3)
    assert len(collector.reports) == 1


def test_nobody_asks(hops, far, authority):
    hop = hops(tls=authority.server("mx.far.test"))
    server = far(hop, '_smtp._tls TXT "v=TLSRPTv1; rua=nonsense"\n', period="1s")
    send(server)
    hop.wait()
    time.sleep(4)
    assert "tls-report" not in server.log()
    assert len(hop.messages) == 1


@pytest.mark.parametrize("names, days, result", [
    (["other.test"], 10, "certificate-host-mismatch"),
    (["mx.far.test"], -1, "certificate-expired"),
    ("foreign", 10, "certificate-not-trusted"),
    (None, 10, "starttls-not-supported"),
    ("broken", 10, "validation-failure"),
])
def test_testing_mode_delivers_and_reports(hops, far, authority, servers, tmp_path, names, days, result):
    context = authority.server("mx.far.test")
    if names == "foreign":
        context = Authority(tmp_path / "foreign").server("mx.far.test")
    elif isinstance(names, list):
        context = authority.server(*names, days=days)
    hop = hops(tls=context if names else None, shake=(lambda s: None) if names == "broken" else None)
    web = Web(authority.server("mta-sts.far.test"))
    servers.append(web)
    web.policy = policy_text("testing")
    server = far(hop, 'mta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n'
                 '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@far.test"\n', f"mta_sts {{ port = {web.server_port} }}\n")
    send(server)
    hop.wait()
    report = report_in(mailed(hop)[2])[1]
    policy = next(p for p in report["policies"] if p["policy"]["policy-type"] == "sts")
    assert policy["policy"]["policy-string"] == ["version: STSv1", "mode: testing", "mx: mx.far.test", "max_age: 86400"]
    assert policy["policy"]["mx-host"] == ["mx.far.test"]
    assert set(sums(report)[1]) == {result}, report
    assert all(d["receiving-mx-hostname"] == "mx.far.test" for d in policy["failure-details"])


def test_enforced_policy_and_host_it_does_not_name(hops, far, authority, servers):
    hop = hops(tls=authority.server("mx.far.test"))
    web = Web(authority.server("mta-sts.far.test"))
    servers.append(web)
    web.policy = policy_text("enforce", mx=["elsewhere.far.test"])
    collector = Collector(authority.server("127.0.0.1"))
    servers.append(collector)
    server = far(hop, 'mta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n'
                 f'_smtp._tls TXT "v=TLSRPTv1; rua=https://127.0.0.1:{collector.server_port}/"\n',
                 f"mta_sts {{ port = {web.server_port} }}\n")
    send(server)
    wait_for(lambda: collector.reports, 40, "the report")
    assert set(sums(collector.reports[0])[1]) == {"validation-failure"}
    assert "does not name this host" in json.dumps(collector.reports[0])
    assert not hop.messages


def test_policy_that_cannot_be_fetched_is_reported(hops, far, authority, servers):
    hop = hops(tls=authority.server("mx.far.test"))
    web = Web(authority.server("www.far.test"))
    servers.append(web)
    server = far(hop, 'mta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n'
                 '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@far.test"\n', f"mta_sts {{ port = {web.server_port} }}\n")
    send(server)
    report = report_in(mailed(hop)[2])[1]
    succeeded, failed = sums(report)
    assert succeeded >= 1 and set(failed) == {"sts-webpki-invalid"}, report


def test_counts_survive_restarts_and_yesterday_is_told(hops, far, authority):
    hop = hops(tls=authority.server("mx.far.test"))
    server = far(hop, '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@far.test"\n', period="24h")
    file = server.state / "tls-report"
    for count in (1, 2):
        send(server)
        hop.wait(count)
        server.stop()
        assert f"domain far.test 0 0 0\npolicy 0 {count} 0\n" in file.read_text()
        if count == 2:  # a day passes
            day, counts = file.read_text().split("\n", 1)
            begin, end = (int(n) - 86400000 for n in day.split()[1:3])
            file.write_text(f"day {begin} {end} {end}\n{counts}{day}\n")
        server.start(env=server.environment)
    report = report_in(mailed(hop)[2])[1]
    assert sums(report) == (2, {})
    assert report["date-range"]["start-datetime"].endswith("T00:00:00Z")
    assert report["date-range"]["end-datetime"].endswith("T23:59:59Z")
    server.stop()
    assert "policy 0 2 0" not in file.read_text()


def test_off_without_from(hops, far, authority):
    hop = hops(tls=authority.server("mx.far.test"))
    server = far(hop, '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@far.test"\n', period="1s", start=False)
    server.file.write_text(server.file.read_text().replace('from = "tls-reports@example.com", ', ""))
    server.start(env=server.environment)
    send(server)
    hop.wait()
    time.sleep(3)
    server.stop()
    assert len(hop.messages) == 1 and not (server.state / "tls-report").exists()
