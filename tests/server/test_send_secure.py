"""rockdove send: TLS and logging in, with servers of others and our own."""
import base64
import json
import ssl
import threading

import pytest

from harness import free_port, run
from peers import Hop
from test_login import PASSWORD, plain, user


@pytest.fixture
def hop(authority):
    made = []

    def make(*names, replies=None, auth="PLAIN LOGIN", **kwargs):
        context = authority.server(*(names or ("127.0.0.1",)))
        made.append(Hop(replies=replies, tls=context, extensions=["PIPELINING", "AUTH " + auth] if auth else ["PIPELINING"], **kwargs))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def send(tmp_path, authority):
    conf, password = tmp_path / "conf", tmp_path / "password"
    conf.write_text(f'hostname = "client.test"\nstate = "{tmp_path}/state"\n')
    password.write_text(PASSWORD + "\n")

    def send(port, *options, secret=PASSWORD, code=0, roots=True, to="bob@example.net"):
        password.write_text(secret + "\n")
        more = ["--password-file", str(password)] if "--user" in options else []
        result = run("send", "-c", str(conf), "-s", f"127.0.0.1:{port}", "--trace", "-f", "alice@example.com", *more, *options, to,
                     env={"PATH": "/usr/bin:/bin", **({"SSL_CERT_FILE": str(authority.roots)} if roots else {})})
        assert result.returncode == code, result
        trace = result.stderr.decode()
        assert secret not in trace and base64.b64encode(secret.encode()).decode() not in trace
        assert plain("alice@example.com", secret) not in trace
        return result.stdout.decode(), trace
    return send


def said(trace):
    """What the client said, by the trace."""
    return [l.split(" > ", 1)[1] for l in trace.splitlines() if " > " in l]


def test_opportunistic_is_the_default(send, hop):
    h = hop(auth="")
    out, trace = send(h.port)
    assert "delivered" in out and h.secured == [True]
    assert "TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified" in trace
    assert said(trace)[:4] == ["EHLO client.test", "STARTTLS", "EHLO client.test", "MAIL FROM:<alice@example.com>"]
    _, trace = send(h.port, roots=False)
    assert "certificate not verified" in trace
    _, trace = send(h.port, "--tls", "off")
    assert "STARTTLS" not in said(trace) and h.secured == [True, True, False]


def test_opportunistic_goes_clear_once_when_tls_breaks(send, hop):
    h = hop(auth="", shake=lambda connection: connection.sendall(b"no TLS here at all\r\n"))
    out, trace = send(h.port)
    assert "delivered" in out and h.secured == [False] and h.connections == 2
    assert "once more in clear" in trace
    out, trace = send(h.port, "--tls", "starttls", code=75)
    assert "wrong version number" in out and len(h.messages) == 1 and h.connections == 3


def test_required_and_verified(send, hop):
    plain_hop = Hop()
    out, _ = send(plain_hop.port, "--tls", "starttls", code=75)
    assert "does not offer STARTTLS" in out and not plain_hop.messages
    plain_hop.close()
    good, bad = hop("127.0.0.1", auth=""), hop("other.example", auth="")
    assert "delivered" in send(good.port, "--tls", "starttls", "--tls-verify")[0]
    out, _ = send(bad.port, "--tls", "starttls", "--tls-verify", code=75)
    assert "mismatch" in out and not bad.messages
    assert "delivered" in send(bad.port, "--tls", "starttls")[0]


def test_implicit(send, make_server):
    port = free_port()
    server = make_server('domain "example.com" { users = ["alice"] }\n'
                         f'listen implicit {{ bind = ["127.0.0.1:{port}"], tls = implicit }}\n')
    out, trace = send(port, "--tls", "implicit", to="alice@example.com")
    assert "delivered" in out and "STARTTLS" not in trace
    assert b"with ESMTPS " in server.mailbox("alice", "example.com").wait()[0]
    out, _ = send(port, "--tls", "implicit", "--tls-verify", to="alice@example.com", code=75)
    assert "verif" in out or "self" in out
    out, trace = send(port, "--tls", "implicit", "--until", "rcpt", to="alice@example.com")
    assert said(trace)[-1] == "QUIT" and "RCPT TO:<alice@example.com>" in said(trace)


@pytest.mark.parametrize("mechanism", ["", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "PLAIN", "LOGIN"])
def test_our_own_server(send, make_server, tmp_path, mechanism):
    submission = free_port()
    server = make_server("", start=False)
    server.password = tmp_path / "account-password"
    server.password.write_text(PASSWORD + "\n")
    server.configure('domain "example.com" { users = ["alice", "bob"] }\n'
                     f'listen submission {{ bind = ["127.0.0.1:{submission}"], role = submission }}\n')
    user(server, "add", "alice@example.com")
    server.start()
    how = ["--auth", mechanism.lower()] if mechanism else []
    out, trace = send(submission, "--user", "alice@example.com", *how, to="bob@example.com")
    assert "delivered" in out
    assert f"AUTH {mechanism or 'SCRAM-SHA-256-PLUS'}" + (" (response not shown)" if mechanism != "LOGIN" else "") in said(trace)
    server.wait_log("event=login", "mechanism=" + (mechanism or "SCRAM-SHA-256-PLUS"))
    out, trace = send(submission, "--user", "alice@example.com", *how, secret="wrong password", code=75)
    assert "535" in out and "MAIL" not in "".join(said(trace))


def test_passwords_stay_out_of_the_clear(send, hop):
    h = Hop(extensions=["AUTH PLAIN LOGIN"])
    out, trace = send(h.port, "--user", "alice@example.com", code=75)
    assert "without TLS" in out and not h.commands("AUTH")
    h.close()
    h = hop(auth="")
    out, _ = send(h.port, "--user", "alice@example.com", code=75)
    assert "does not offer AUTH" in out and not h.messages


def test_tokens(send, hop):
    def replies(hop, verb, line, state):
        if verb == "AUTH":
            octets = base64.b64decode(line.split()[2])
            return "235 2.7.0 Ok" if octets == b"user=alice@example.com\1auth=Bearer ya29.token\1\1" else "334 eyJzdGF0dXMiOiI0MDAifQ=="
        return "535 5.7.8 rejected" if verb == "" else None
    h = hop(auth="PLAIN XOAUTH2", replies=replies)
    assert "delivered" in send(h.port, "--user", "alice@example.com", "--auth", "xoauth2", secret="ya29.token")[0]
    out, trace = send(h.port, "--user", "alice@example.com", "--auth", "xoauth2", secret="ya29.old", code=75)
    assert "535 5.7.8 rejected" in out and "AUTH XOAUTH2 (response not shown)" in said(trace)


def test_a_server_that_does_not_know_the_password(send, hop):
    """It says yes to everything: SCRAM finds it out, and no mail goes."""
    h = hop(auth="SCRAM-SHA-256", replies={"AUTH": "235 2.7.0 welcome"})
    out, _ = send(h.port, "--user", "alice@example.com", code=75)
    assert "has not proved that it knows the password" in out and not h.commands("MAIL")


def test_wrong_options(tmp_path):
    conf = tmp_path / "conf"
    conf.write_text(f'state = "{tmp_path}"\n')
    for options, words in [(["--tls", "yes"], b"--tls wants"), (["--auth", "CRAM-MD5"], b"--auth wants"),
                           (["--password-file", "x"], b"need --user"), (["--user", "u"], b"needs --server"),
                           (["--tls", "implicit"], b"needs --server"), (["--tls-verify"], b"needs --tls")]:
        result = run("send", "-c", str(conf), *options, "a@b.example")
        assert result.returncode == 64 and words in result.stderr, result
