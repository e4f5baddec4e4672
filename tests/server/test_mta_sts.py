"""MTA-STS: policies of other domains, from a web server, and what they do to mail."""
import functools
import http.server
import json
import os
import threading

import pytest

from harness import wait_for
from peers import dns

FAST = 'queue { retry = ["1s"] }\n'
ZONE = ('@ MX 10 mx\n@ MX 20 backup\nmx A 127.0.1.1\nbackup A 127.0.1.2\nmta-sts A 127.0.0.1\n'
        '_mta-sts TXT "v=STSv1; id=20260101;"\n')


class Web(http.server.ThreadingHTTPServer):
    """The policy host of far.test."""
    daemon_threads = True

    def __init__(self, context):
        self.status, self.headers, self.asked, self.open = 200, {"Content-Type": "text/plain"}, [], threading.Event()
        self.open.set()
        self.policy = ""
        super().__init__(("127.0.0.1", 0), Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=functools.partial(self.serve_forever, 0.05), daemon=True).start()

    def handle_error(self, *_):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        web = self.server
        web.asked.append((self.headers["Host"], self.path))
        web.open.wait(60)
        self.send_response(web.status)
        for name, value in web.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(web.policy.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def webs(authority):
    made = []

    def make(names=("mta-sts.far.test",), days=10, policy=None):
        web = Web(authority.server(*names, days=days))
        web.policy = policy or policy_text()
        made.append(web)
        return web
    yield make
    for web in made:
        web.open.set()
        web.shutdown()
        web.server_close()


def policy_text(mode="enforce", mx=("mx.far.test",), max_age=86400):
    return f"version: STSv1\r\nmode: {mode}\r\n" + "".join(f"mx: {m}\r\n" for m in mx) + f"max_age: {max_age}\r\n"


@pytest.fixture
def hops(hops):
    """Where the zones say."""
    return functools.partial(hops, host="127.0.1.1")


@pytest.fixture
def far(make_server, authority, tmp_path):
    """far(hop, web): a server whose mail for far.test goes to the hop's port."""
    contexts = []

    def make(hop, web, zone=ZONE, more="", rule="", name="server"):
        context = dns(tmp_path / f"dns-{name}", {"far.test": zone})
        port = context.__enter__()
        contexts.append(context)
        text = (
            f'domain "example.com" {{ users = "*" }}\n{FAST}'
            f'dns {{ servers = ["127.0.0.1:{port}"], validate = off }}\nmta_sts {{ port = {web.server_port} }}\n'
            f'route "*" {{ to = mx, port = {hop.port}, allow_loopback = true{rule} }}\n{more}')
        server = make_server(text, start=False, name=name)
        server.text = text
        return server.start(env=dict(os.environ, SSL_CERT_FILE=str(authority.roots), SSL_CERT_DIR="/nowhere"))
    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def send(server, to="x@far.test"):
    with server.talk() as t:
        return t.mail(to, sender="sender@example.com")


def reason(server):
    def why():
        (entry,), = [m["recipients"] for m in server.queue()]
        return entry["reason"] if entry["reason"] != "waits for its turn" else None
    return wait_for(why, 20, "it waits, and knows why")


def shown(server):
    return server.run("route", "x@far.test", check=True).stdout.decode()


def test_enforced_policy_is_kept(hops, webs, far, authority):
    """The certificate fits, the policy names the host: delivered, and it is known why."""
    hop, web = hops(tls=authority.server("mx.far.test")), webs()
    server = far(hop, web)
    send(server)
    hop.wait()
    assert hop.secured == [True]
    assert "sts" in server.wait_log("event=delivered", "far.test", timeout=20).split('tls="')[1].split('"')[0]
    assert web.asked == [(f"mta-sts.far.test:{web.server_port}", "/.well-known/mta-sts.txt")]
    server.wait_log("mta-sts-policy", "domain=far.test", "mode=enforce", "id=20260101")
    text = shown(server)
    assert "MTA-STS enforce, id 20260101, age " in text and "mx mx.far.test" in text, text
    assert "sts enforce" in text and "does not name this host; must not be used now" in text, text
    sts = json.loads(server.run("route", "x@far.test", "--json", check=True).stdout)["targets"][0]["sts"]
    assert (sts["mode"], sts["mx"], sts["max_age"]) == ("enforce", ["mx.far.test"], 86400)
    send(server)
    hop.wait(2)
    assert len(web.asked) == 1


@pytest.mark.parametrize("names, days, why", [
    (["other.test"], 10, "hostname mismatch"),
    (["mx.far.test"], -1, "certificate has expired"),
    (None, 10, "TLS is required"),
], ids=["wrong name", "expired", "stripped"])
def test_who_does_not_prove_its_name_gets_no_mail(hops, webs, far, authority, names, days, why):
    """The same host gets it in mode testing."""
    hop = hops(tls=authority.server(*names, days=days) if names else None)
    web = webs()
    server = far(hop, web)
    send(server)
    assert why in reason(server)
    assert "status=4.7." in server.wait_log("event=unreachable")
    assert not hop.messages
    web.policy = policy_text("testing")
    other = far(hop, web, name="testing")
    send(other)
    hop.wait()
    assert hop.secured == [names is not None]
    assert "MTA-STS testing" in shown(other)


def test_hosts_that_the_policy_does_not_name(hops, webs, far, authority):
    """They are not even asked; those it names are, whatever their preference."""
    stranger = hops(tls=authority.server("mx.far.test"))
    named = hops(host="127.0.1.2", port=stranger.port, tls=authority.server("backup.far.test"))
    web = webs(policy=policy_text(mx=["backup.far.test"]))
    server = far(stranger, web)
    send(server)
    named.wait()
    assert stranger.connections == 0
    server.wait_log("host-barred", "mx.far.test", "does not name this host")
    web.policy = policy_text(mx=["*.mail.far.test"])
    other = far(stranger, web, name="none")
    send(other)
    assert "must not be used now" in reason(other)
    assert "status=4.7.5" in other.wait_log("event=unreachable")
    assert stranger.connections == 0 and named.connections == 1


def test_wildcard_and_mode_none(hops, webs, far, authority):
    hop = hops(tls=authority.server("mx.far.test"))
    web = webs(policy=policy_text(mx=["*.far.test"]))
    server = far(hop, web)
    send(server)
    hop.wait()
    server.wait_log("event=delivered", " sts")
    clear = hops(host="127.0.1.1")
    web.policy = policy_text("none", mx=[])
    other = far(clear, web, name="none")
    send(other)
    clear.wait()
    assert clear.secured == [False]
    assert "MTA-STS none, id 20260101" in shown(other)


def broken(web, kind):
    if kind == "missing":
        web.status = 404
    elif kind == "redirect":
        web.status, web.headers["Location"] = 301, f"https://mta-sts.far.test:{web.server_port}/elsewhere"
    elif kind == "media type":
        web.headers["Content-Type"] = "text/html"
    elif kind == "nonsense":
        web.policy = "version: STSv1\nmode: enforce\nmx: *\nmax_age: 86400\n"
    elif kind == "endless":
        web.policy = policy_text() + "x: y\r\n" * 20000


@pytest.mark.parametrize("kind, result", [
    ("missing", "sts-policy-fetch-error"), ("redirect", "sts-policy-fetch-error"), ("endless", "sts-policy-fetch-error"),
    ("media type", "sts-policy-invalid"), ("nonsense", "sts-policy-invalid"),
    ("certificate name", "sts-webpki-invalid"), ("expired", "sts-webpki-invalid")])
def test_policy_that_cannot_be_had(hops, webs, far, kind, result):
    """It is as if there were none; the log knows why."""
    hop = hops()
    web = webs(names=["www.far.test"] if kind == "certificate name" else ["mta-sts.far.test"], days=-1 if kind == "expired" else 10)
    broken(web, kind)
    server = far(hop, web)
    send(server)
    hop.wait()
    server.wait_log("mta-sts-failed", "domain=far.test", f"result={result}")
    assert "cannot be fetched" in shown(server)
    assert len(web.asked) <= 1
    if kind == "redirect":
        assert web.asked[0][1] == "/.well-known/mta-sts.txt"


def test_known_policy_outlives_web_server_and_restart(hops, webs, far, authority):
    hop, web = hops(tls=authority.server("other.test")), webs()
    server = far(hop, web)
    send(server)
    assert "hostname mismatch" in reason(server)
    server.stop()
    assert "far.test 20260101 " in (server.state / "mta-sts").read_text()
    web.status = 500
    server.start(env=dict(os.environ, SSL_CERT_FILE=str(authority.roots), SSL_CERT_DIR="/nowhere"))
    assert "MTA-STS enforce" in shown(server)
    server.configure(server.text.replace(f"mta_sts {{ port = {web.server_port} }}", "mta_sts { enable = false }"))
    server.reload()
    hop.wait()  # the operator does not want it to count
    assert "MTA-STS" not in shown(server)


def test_slow_web_server_holds_nobody_else_up(hops, webs, far, authority):
    hop, web = hops(tls=authority.server("mx.far.test")), webs()
    web.open.clear()
    server = far(hop, web, more=f'route "near.test" {{ to = "smtp:127.0.1.1:{hop.port}", allow_loopback = true }}\n')
    send(server)
    wait_for(lambda: web.asked, 10, "the policy is asked for")
    send(server, "x@near.test")
    hop.wait()
    assert hop.messages[0][1] == ["x@near.test"]
    hop.wait(2, timeout=30)  # after a few seconds without the policy
    web.open.set()
    server.wait_log("mta-sts-policy", timeout=20)


def test_off_and_routes_of_ones_own(hops, webs, far, authority):
    hop, web = hops(), webs()
    server = far(hop, web, rule=", tls = off")
    send(server)
    hop.wait()
    other = far(hop, web, name="smart", more=f'route "far.test" {{ to = "smtp:127.0.1.1:{hop.port}", allow_loopback = true }}\n')
    send(other)
    hop.wait(2)
    assert web.asked == []
