"""Logging in: who may, from where, and what it allows."""
import base64
import json
import pty
import os
import select
import subprocess
import time

import pytest

from harness import BINARY, Talk, free_port, need, queued_id, wait_for
from peers import Hop
from test_tls import SecureTalk

PASSWORD = "correct horse p\u00e4ssword"


@pytest.fixture
def server(make_server, tmp_path):
    server = make_server("", start=False)
    server.submission, server.hop = free_port(), Hop()
    server.password = tmp_path / "password"
    server.password.write_text(PASSWORD + "\n")
    server.configure('relay_from = []\ndomain "example.com" { users = ["alice", "bob"] }\ndomain "accounts.test" {}\n'
                     f'listen submission {{ bind = ["127.0.0.1:{server.submission}"], role = submission }}\n'
                     f'route "*" {{ to = "smtp:127.0.0.1:{server.hop.port}", allow_loopback = true }}\n')
    user(server, "add", "Alice@example.com")
    server.start()
    yield server
    server.hop.close()


def user(server, action, *name, code=0):
    more = ["--password-file", str(server.password)] if action in ("add", "passwd") else []
    result = server.run("user", action, *name, *more)
    assert result.returncode == code, result
    return result


def plain(name="alice@example.com", password=PASSWORD, other=""):
    return base64.b64encode(f"{other}\0{name}\0{password}".encode()).decode()


def logged_in(server):
    t = SecureTalk(server.submission)
    t.expect("EHLO c", "250")
    t.expect(f"AUTH PLAIN {plain()}", "235 2.7.0")
    return t


def test_a_submitted_message(server):
    with logged_in(server) as t:
        queued_id(t.mail(["far@far.test", "bob@example.com"], sender="alice@example.com"))
    server.hop.wait()
    message = server.mailbox("bob", "example.com").wait()[0]
    assert b"with ESMTPSA " in message
    assert "account=alice@example.com" in server.wait_log("event=accepted")
    server.wait_log("event=login", "account=alice@example.com", "mechanism=PLAIN")
    files = b"".join(f.read_bytes() for f in server.state.rglob("accounts"))
    assert files.startswith(b"# rockdove accounts 2\nalice@example.com scram-sha-256 4096 ")
    assert b" scram-sha-1 4096 " in files
    everything = server.log().encode() + files
    assert PASSWORD.encode() not in everything and plain().encode() not in everything


def test_never_in_clear_and_never_without(server):
    with Talk(server.submission) as t:
        assert "AUTH" not in t.expect("EHLO c", "250")
        assert t.ask(f"AUTH PLAIN {plain()}").startswith("538")
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("530")
    with SecureTalk(server.submission) as t:
        offered = "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\n"
        assert offered in t.expect("EHLO c", "250")
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("530 5.7.0")
    with SecureTalk(server.port) as t:
        assert "AUTH" not in t.expect("EHLO c", "250")
        assert t.ask(f"AUTH PLAIN {plain()}").startswith("503")


def test_only_in_ones_own_name(server):
    with logged_in(server) as t:
        for other in ("bob@example.com", "alice@example.org", "postmaster@example.com"):
            assert t.ask(f"MAIL FROM:<{other}>").startswith("553 5.7.1"), other
        t.expect("MAIL FROM:<ALICE@example.com>", "250")
        t.expect("RSET", "250")
        t.expect("MAIL FROM:<>", "250")
        t.expect("RSET", "250")
        assert t.ask(f"AUTH PLAIN {plain()}").startswith("503")


def test_wrong_passwords_wait(server):
    """Each longer than the one before, in a new session too."""
    for least, response in ((1, plain(password="guess")), (2, plain(name="nobody@example.com"))):
        with SecureTalk(server.submission) as t:
            t.expect("EHLO c", "250")
            began = time.monotonic()
            assert t.ask(f"AUTH PLAIN {response}") == "535 5.7.8 Error: authentication failed"
            assert time.monotonic() - began > least - 0.1
            t.expect(f"AUTH PLAIN {plain()}", "235")
    server.wait_log("event=login-failed", "account=alice@example.com", 'why="wrong password"')
    server.wait_log("event=login-failed", "account=nobody@example.com", 'why="there is no such account"')
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.send(f"AUTH PLAIN {plain(password='guess')}\r\n")
    assert PASSWORD not in server.log() and "guess" not in server.log()


def test_who_guesses_is_refused_for_a_while(server):
    implicit = free_port()
    server.file.write_text(server.file.read_text() + f'''
        limits {{ login_failures = 3, login_pause = 4s }}
        listen implicit {{ bind = ["127.0.0.1:{implicit}"], role = submission, tls = implicit }}''')
    server.reload()
    server.wait_log("event=reloaded")
    user_session = logged_in(server)
    guessers = [SecureTalk(server.submission) for _ in range(4)]
    for i, t in enumerate(guessers):
        t.expect("EHLO c", "250")
        if i < 3:
            t.send(f"AUTH PLAIN {plain(password=f'guess {i}')}\r\n")
            server.wait_log("event=login-failed", count=i + 1)
    line = server.wait_log("event=logins-refused", "client=127.0.0.1")
    assert "failures=3" in line and "seconds=4" in line and "level=warn" in line
    assert guessers[3].ask(f"AUTH PLAIN {plain()}").startswith("421 4.7.0") and guessers[3].closed()
    with Talk(server.submission) as t:  # not even a greeting
        assert t.banner.startswith("421 4.7.0") and t.closed()
    with SecureTalk(implicit, implicit=True) as t:
        assert t.banner.startswith("421 4.7.0") and t.closed()
    queued_id(user_session.mail("bob@example.com", sender="alice@example.com"))  # who is in stays in
    with server.talk() as t:  # and mail comes in as ever
        t.expect("EHLO c", "250")
    for t in guessers[:3]:
        assert t.reply().startswith("535")

    def again():
        try:
            return logged_in(server)
        except (AssertionError, OSError, EOFError):
            return None
    wait_for(again, 20, "the client is let in again")
    assert len([l for l in server.log().splitlines() if "logins-refused" in l]) == 1


SCRAMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_scram_by_gsasl(server, version):
    """GNU SASL's own client, which proves the channel too: tls-unique of TLS 1.2, tls-exporter of 1.3."""
    server.password.write_text("plain ascii")
    user(server, "passwd", "alice@example.com")
    for i, mechanism in enumerate(SCRAMS):
        done = subprocess.run(
            [need("gsasl"), "--smtp", f"--connect=127.0.0.1:{server.submission}", f"--mechanism={mechanism}",
             "--authentication-id=alice@example.com", "--authorization-id=", "--password=plain ascii",
             "--x509-ca-file=", f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}",
             *([] if "PLUS" in mechanism else ["--no-cb"])], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        assert done.returncode == 0, (mechanism, done)
        assert server.wait_log("event=login ", count=i + 1).split("mechanism=")[1].split()[0] == mechanism


def test_exchanges(server):
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        assert t.ask("AUTH PLAIN") == "334 "
        assert t.ask("*").startswith("501")
        assert t.ask("AUTH LOGIN") == "334 VXNlciBOYW1l"
        assert t.ask(base64.b64encode(b"alice@example.com").decode()) == "334 UGFzc3dvcmQ="
        t.expect(base64.b64encode(PASSWORD.encode()).decode(), "235")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
def test_clients_of_others(server, mechanism, tmp_path):
    file = tmp_path / "message"
    file.write_bytes(b"Subject: by msmtp\n\nhello\n")
    msmtp = subprocess.run(
        [need("msmtp"), "--host=127.0.0.1", f"--port={server.submission}", "--tls=on", "--tls-certcheck=off",
         f"--auth={mechanism.lower()}", "--user=alice@example.com", f"--passwordeval=cat {server.password}",
         "--from=alice@example.com", "bob@example.com"], stdin=open(file), capture_output=True, timeout=30)
    assert msmtp.returncode == 0, msmtp
    server.wait_log("event=login", f"mechanism={mechanism}")
    if mechanism != "SCRAM-SHA-256":
        swaks = subprocess.run(
            [need("swaks"), "-s", "127.0.0.1", "-p", str(server.submission), "-tls", "-a", mechanism, "-au",
             "alice@example.com", "-ap", PASSWORD, "-f", "alice@example.com", "-t", "bob@example.com"],
            capture_output=True, timeout=30)
        assert swaks.returncode == 0, swaks.stdout
    server.mailbox("bob", "example.com").wait()


def test_accounts_while_the_server_runs(server):
    assert user(server, "list").stdout == b"alice@example.com\n"
    assert user(server, "add", "alice@example.com", code=65).stderr
    assert user(server, "add", "no-address", code=64).stderr
    assert user(server, "remove", "carol@accounts.test", code=65).stderr
    with server.talk() as t:
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<x@far.test>", "250")
        assert t.ask("RCPT TO:<carol@accounts.test>").startswith("550 5.1.1")
        user(server, "add", "carol@accounts.test")
        t.expect("RCPT TO:<carol@accounts.test>", "250")  # a domain without users has those with accounts
    assert json.loads(server.run("user", "list", "--json", check=True).stdout) in (
        [{"name": "alice@example.com"}, {"name": "carol@accounts.test"}],
        [{"name": "carol@accounts.test"}, {"name": "alice@example.com"}])
    server.password.write_text("changed")
    user(server, "passwd", "alice@example.com")
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.expect(f"AUTH PLAIN {plain()}", "535")
        t.expect(f"AUTH PLAIN {plain(password='changed')}", "235")
    user(server, "remove", "alice@example.com")
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.expect(f"AUTH PLAIN {plain(password='changed')}", "535")
    before = (server.state / "accounts").read_bytes()
    (server.state / "accounts").write_bytes(before + b"nonsense\n")
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.expect(f"AUTH PLAIN {plain('carol@accounts.test')}", "235")  # what was read last still holds
    server.wait_log("accounts-not-read", "line 3")


def test_password_is_asked_for_without_echo(server):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BINARY, "user", "add", "bob@example.com", "-c", str(server.file)], stdin=theirs,
                               stderr=subprocess.PIPE)
    assert process.stderr.read(10) == b"Password: "
    os.write(ours, b"typed\n")
    assert process.wait(20) == 0
    shown = b""
    while select.select([ours], [], [], 0.2)[0]:
        try:
            shown += os.read(ours, 1000)
        except OSError:  # the terminal is gone, with all it had to show
            break
    assert b"typed" not in shown
    os.close(ours)
    os.close(theirs)
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.expect(f"AUTH PLAIN {plain('bob@example.com', 'typed')}", "235")


def test_leaving_in_the_middle(server):
    for _ in range(20):
        t = SecureTalk(server.submission)
        t.expect("EHLO c", "250")
        t.send(f"AUTH PLAIN {plain()}\r\n")
        t.close()
    with logged_in(server) as t:
        queued_id(t.mail("bob@example.com", sender="alice@example.com"))
    assert server.stop() == 0 and "BUG" not in server.log()
