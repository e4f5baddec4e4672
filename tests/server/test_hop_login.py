"""Logging in at a smart host: passwords and tokens, and what becomes of mail when it fails."""
import base64
import json
import os
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from harness import free_port, queued_id, wait_for
from peers import Hop
from real_peers import dovecot_auth, postfix
from test_login import PASSWORD, plain, user

FAST = 'queue { retry = ["1s"] }\n'


@pytest.fixture
def hop(authority):
    made = []

    def make(auth="PLAIN LOGIN", replies=None, names=("127.0.0.1",), tls=True):
        more = ["PIPELINING"] + (["AUTH " + auth] if auth else [])
        made.append(Hop(replies=replies, tls=authority.server(*names) if tls else None, extensions=more))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def relay(make_server, authority, tmp_path, monkeypatch):
    """A server of ours that sends everything to a smart host."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.roots))
    password = tmp_path / "hop-password"

    def make(port, keys="", secret=PASSWORD, user="alice@example.com", more="", tls="verify", scheme="smtp"):
        password.write_text(secret + "\n")
        password.chmod(0o600)
        how = keys if "token" in keys else f'password_file = "{password}"\n{keys}'
        server = make_server(
            FAST + more + f'route "*" {{ to = "{scheme}:127.0.0.1:{port}", allow_loopback = true, tls = {tls}\n'
            f'user = "{user}"\n{how} }}\n', name="relay")
        server.password = password
        return server
    return make


def send(server, to="bob@far.test", sender="alice@example.com"):
    with server.talk() as t:
        return queued_id(t.mail(to, sender=sender))


def reason(server, *words, timeout=20):
    """Why mail waits, when it says all the words."""
    def find():
        for message in server.queue():
            for recipient in message["recipients"]:
                text = json.dumps(recipient)
                if all(w in text for w in words):
                    return text
        return None
    try:
        return wait_for(find, timeout, f"mail waits for {words}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{server.queue()}\n{server.log()[-2000:]}") from None


def no_secrets(server, *secrets):
    everything = server.log().encode() + b"".join(f.read_bytes() for f in server.state.rglob("*") if f.is_file())
    for secret in secrets:
        assert secret.encode() not in everything and base64.b64encode(secret.encode()) not in everything


# ---- our own server as the smart host ------------------------------------------------------------

@pytest.fixture
def provider(make_server, tmp_path, authority):
    """A submission service of ours; everything it takes goes to its `hop`."""
    server = make_server("", start=False, name="provider", hostname="provider.test")
    server.password = tmp_path / "account-password"
    server.password.write_text(PASSWORD + "\n")
    server.submission, server.submissions, server.hop = free_port(), free_port(), Hop()
    chain, key = authority.issue("127.0.0.1", "provider.test")
    server.configure('relay_from = []\ndomain "example.com" { users = ["alice"] }\n'
                     f'tls {{ certificate = "{chain}", key = "{key}" }}\n'
                     f'listen submission {{ bind = ["127.0.0.1:{server.submission}"], role = submission }}\n'
                     f'listen submissions {{ bind = ["127.0.0.1:{server.submissions}"], role = submission, tls = implicit }}\n'
                     f'route "*" {{ to = "smtp:127.0.0.1:{server.hop.port}", allow_loopback = true }}\n')
    user(server, "add", "alice@example.com")
    server.start()
    yield server
    server.hop.close()


@pytest.mark.parametrize("mechanism", ["", "scram-sha-256", "scram-sha-1-plus", "plain", "login"])
def test_through_our_own_submission(relay, provider, mechanism):
    server = relay(provider.submission, f"auth = {mechanism}" if mechanism else "")
    send(server)
    sender, recipients, content = provider.hop.wait(timeout=20)[0]
    assert recipients == ["bob@far.test"] and b"with ESMTPSA " in content
    chosen = mechanism.upper() or "SCRAM-SHA-256-PLUS"
    provider.wait_log("event=login", "account=alice@example.com", f"mechanism={chosen}")
    server.wait_log("event=hop-login", "user=alice@example.com", f"mechanism={chosen}")
    no_secrets(server, PASSWORD, plain())


def test_implicit_tls(relay, provider):
    server = relay(provider.submissions, scheme="smtps")
    send(server)
    assert b"with ESMTPSA " in provider.hop.wait(timeout=20)[0][2]
    server.wait_log("event=hop-login", "mechanism=SCRAM-SHA-256-PLUS", f"smtps:127.0.0.1:{provider.submissions}")
    assert "TLSv1.3" in server.wait_log("event=delivered")


def test_implicit_tls_that_is_none(relay, hop):
    """A host that says hello in clear: mail waits, and never goes in clear."""
    plain_hop = Hop()
    server = relay(plain_hop.port, scheme="smtps", tls="opportunistic")
    send(server)
    reason(server, "wrong version number")
    assert not plain_hop.commands("EHLO") and not plain_hop.messages
    plain_hop.close()


def test_wrong_password_waits_and_is_read_again(relay, provider):
    server = relay(provider.submission, secret="not it")
    for _ in range(3):
        send(server)
    line = server.wait_log("event=hop-login-failed", "user=alice@example.com", "535", timeout=30)
    assert "level=warn" in line or "warn" in line
    said = reason(server, "logging in as alice@example.com", "was refused: 535")
    assert "not it" not in said
    time.sleep(2.5)
    assert provider.hop.messages == [] and len(server.queue()) == 3 and "event=bounced" not in server.log()
    server.password.write_text(PASSWORD + "\n")
    server.run("queue", "retry", "--all", check=True)
    provider.hop.wait(3, timeout=60)
    no_secrets(server, PASSWORD, "not it")


def test_a_login_serves_many_messages(relay, provider):
    server = relay(provider.submission, "connections = 1")
    for _ in range(20):
        send(server)
    provider.hop.wait(20, timeout=30)
    assert server.log().count("event=hop-login ") <= 3


# ---- servers of others ---------------------------------------------------------------------------

@pytest.mark.parametrize("mechanism", ["", "login"])
def test_aiosmtpd(relay, authority, mechanism):
    taken, names = [], []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            taken.append((session.authenticated, envelope.rcpt_tos))
            return "250 taken"

    def check(server, session, envelope, how, data):
        names.append((how, data.login, data.password))
        return AuthResult(success=(data.login, data.password) == (b"alice@example.com", PASSWORD.encode()))

    context = authority.server("127.0.0.1")

    class Secured(Controller):
        def factory(self):
            return SMTP(self.handler, hostname="other.test", require_starttls=True, tls_context=context,
                        authenticator=check, auth_required=True)
    controller = Secured(Handler(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        server = relay(controller.port, f"auth = {mechanism}" if mechanism else "")
        send(server)
        wait_for(lambda: taken, 20, "the message arrives")
        assert taken == [(True, ["bob@far.test"])]
        assert names == [(mechanism.upper() or "PLAIN", b"alice@example.com", PASSWORD.encode())]
    finally:
        controller.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix and Dovecot want to be started by root")
@pytest.mark.parametrize("mechanism,chosen", [("", "SCRAM-SHA-256"), ("scram-sha-1", "SCRAM-SHA-1"), ("login", "LOGIN")])
def test_postfix_with_dovecot(relay, authority, mechanism, chosen):
    chain, key = authority.issue("127.0.0.1")
    with dovecot_auth({"alice@example.com": PASSWORD}) as auth, postfix(
            ["bob"], "mynetworks =\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n"
            f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {key}, {chain}\nsmtpd_tls_auth_only = yes\n"
            f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {auth}\n") as peer:
        server = relay(peer.port, f"auth = {mechanism}" if mechanism else "")
        send(server, to="bob@post.test")
        assert b"for <bob@post.test>" in peer.mailbox("bob").wait(timeout=60)[0]
        server.wait_log("event=hop-login", f"mechanism={chosen}")
        assert f"sasl_method={chosen}, sasl_username=alice@example.com" in peer.log()
        server.password.write_text("wrong\n")
        server.wait_log("event=delivered")
        time.sleep(6)
        send(server, to="bob@post.test")
        reason(server, "was refused: 535")


# ---- what a next hop may do ----------------------------------------------------------------------

def test_auth_or_tls_not_offered(relay, hop):
    for h, words, tls in [(hop(auth=""), "does not offer AUTH", "verify"),
                          (hop(tls=False), "does not offer STARTTLS", "opportunistic"),
                          (hop(tls=False), "without TLS", "off"),
                          (hop(auth="GSSAPI NTLM"), "no mechanism that we know", "required")]:
        server = relay(h.port, tls=tls)
        send(server)
        reason(server, words)
        server.wait_log("event=unreachable", "status=4.7.")
        assert not h.commands("AUTH") and not h.commands("MAIL")
        server.stop()


def test_scram_alone_goes_in_clear(relay, hop):
    h = hop(auth="PLAIN SCRAM-SHA-256", tls=False)
    server = relay(h.port, tls="off")
    send(server)
    wait_for(lambda: h.commands("AUTH"), 20, "it logs in")
    assert h.commands("AUTH")[0].startswith("AUTH SCRAM-SHA-256 ")


def test_one_that_cannot_be_verified_gets_no_password(relay, hop):
    h = hop(names=("other.example",))
    server = relay(h.port)
    send(server)
    reason(server, "mismatch")
    assert not h.commands("AUTH")


def test_an_impostor_that_says_yes(relay, hop):
    h = hop(auth="SCRAM-SHA-256", replies={"AUTH": "235 2.7.0 welcome"})
    server = relay(h.port)
    send(server)
    reason(server, "has not proved that it knows the password")
    assert not h.commands("MAIL")


@pytest.mark.parametrize("iterations,words", [(10 ** 9, "more than 1000000"), (1, "fewer than 4096")])
def test_iterations_are_bounded(relay, hop, iterations, words):
    def replies(hop, verb, line, state):
        if verb != "AUTH":
            return None
        first = base64.b64decode(line.split()[2]).decode()
        nonce = first.split("r=")[1]
        return "334 " + base64.b64encode(f"r={nonce}more,s=QUFBQUFBQUFBQUFBQUFBQQ==,i={iterations}".encode()).decode()
    server = relay(hop(auth="SCRAM-SHA-256", replies=replies).port)
    send(server)
    reason(server, words)


def test_later_is_later(relay, hop):
    """454 is no wrong password: it is tried again."""
    said = []

    def replies(hop, verb, line, state):
        if verb == "AUTH":
            said.append(line)
            return "454 4.7.0 later" if len(said) == 1 else "235 2.7.0 Ok"
        return None
    h = hop(replies=replies)
    server = relay(h.port)
    send(server)
    reason(server, "454")
    server.run("queue", "retry", "--all", check=True)
    h.wait(timeout=60)
    assert said[0] == f"AUTH PLAIN {plain()}" and "event=hop-login-failed" not in server.log()


def test_password_files(relay, hop):
    h = hop(replies={"AUTH": "235 2.7.0 Ok"})
    server = relay(h.port)
    server.password.unlink()
    send(server)
    reason(server, "hop-password: No such file")
    server.password.write_text("\n")
    server.run("queue", "retry", "--all", check=True)
    reason(server, "is empty")
    server.password.write_text(PASSWORD + "\r\nmore\n")
    server.password.chmod(0o644)
    server.run("queue", "retry", "--all", check=True)
    h.wait(timeout=60)
    assert h.commands("AUTH") == [f"AUTH PLAIN {plain()}"]
    server.wait_log("event=password-file-open", "hop-password")


# ---- tokens --------------------------------------------------------------------------------------

class Bearer:
    """What a next hop says to tokens: one is right at a time."""

    def __init__(self, right="token-1"):
        self.right, self.tried = right, []

    def __call__(self, hop, verb, line, state):
        if verb == "AUTH":
            octets = base64.b64decode(line.split()[2]).decode()
            assert octets.startswith("user=alice@example.com\1auth=Bearer ") and octets.endswith("\1\1")
            self.tried.append(octets[35:-2])
            return "235 2.7.0 Ok" if self.tried[-1] == self.right else "334 eyJzdGF0dXMiOiI0MDEifQ=="
        return "535 5.7.8 bad token" if verb == "" else None


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_token_command(relay, hop, tmp_path):
    bearer = Bearer()
    h = hop(auth="XOAUTH2 PLAIN", replies=bearer)
    count = tmp_path / "count"
    command = script(tmp_path / "token", f'echo run >> {count}; test "$1" = "an argument; exit 3" && echo token-1\n')
    server = relay(h.port, f'token_command = ["{command}", "an argument; exit 3"], connections = 5')
    for _ in range(30):
        send(server)
    h.wait(30, timeout=30)
    assert set(bearer.tried) == {"token-1"} and count.read_text() == "run\n"  # one run for all
    server.wait_log("event=hop-login", "mechanism=XOAUTH2")
    no_secrets(server, "token-1")


def test_a_token_that_is_not_taken_is_got_anew_once(relay, hop, tmp_path):
    bearer = Bearer("token-2")
    h = hop(auth="XOAUTH2", replies=bearer)
    count = tmp_path / "count"
    command = script(tmp_path / "token", f"echo run >> {count}; echo token-$(wc -l < {count})\n")
    server = relay(h.port, f'token_command = ["{command}"], connections = 1')
    send(server)
    h.wait(timeout=20)
    assert bearer.tried == ["token-1", "token-2"] and "hop-login-failed" not in server.log()
    bearer.right = "none"
    time.sleep(7)  # the connection that is open has gone
    send(server)
    said = reason(server, "was refused: 535 bad token")
    assert "token-" not in said
    assert bearer.tried[2:4] == ["token-2", "token-3"]


@pytest.mark.parametrize("text,words", [
    ("exit 4", "ended with status 4"),
    ("echo 'no key in the ring' >&2; exit 1", "status 1: no key in the ring"),
    ("head -c 20000 /dev/zero", "prints more than 16384"),
    ("echo not a token", "no token"),
    ("true", "nothing was said"),
    ('echo \'{"error": "invalid_grant", "error_description": "expired"}\'', "invalid_grant: expired"),
])
def test_token_commands_that_fail(relay, hop, tmp_path, text, words):
    h = hop(auth="XOAUTH2")
    server = relay(h.port, f'token_command = ["{script(tmp_path / "token", text)}"]')
    send(server)
    reason(server, "is not possible", words)
    server.wait_log("event=hop-login-failed", words)
    assert not h.commands("AUTH")


def test_a_token_command_that_is_not_there(relay, hop):
    server = relay(hop(auth="XOAUTH2").port, 'token_command = ["/nonexistent/token"]')
    send(server)
    reason(server, "/nonexistent/token: No such file")


def test_a_token_command_that_hangs_holds_up_nobody_and_is_killed(relay, hop, tmp_path):
    h = hop(auth="XOAUTH2")
    pid = tmp_path / "pid"
    command = script(tmp_path / "token", f"echo $$ > {pid}; sleep 1000\n")
    server = relay(h.port, f'token_command = ["{command}"]', more='domain "example.com" { users = ["alice"] }\n')
    send(server)
    wait_for(lambda: pid.exists() and pid.read_text().strip(), 20, "it runs")
    began = time.monotonic()
    send(server, to="alice@example.com")
    server.mailbox("alice", "example.com").wait()
    assert time.monotonic() - began < 10
    assert server.stop() == 0
    wait_for(lambda: not os.path.exists(f"/proc/{pid.read_text().strip()}"), 10, "it is gone")


def test_a_message_ends_when_its_time_is_over(relay, hop):
    """A login that never works does not keep mail for ever: after its lifetime the sender hears of it."""
    h = hop(replies={"AUTH": "535 5.7.8 no"})
    server = relay(h.port, more='queue { lifetime = "10s", delay_notice = 0 }\ndomain "example.com" { users = ["alice"] }\n')
    send(server)
    report = server.mailbox("alice", "example.com").wait(timeout=60)[0]
    words = b" ".join(report.split())
    assert b"logging in as alice@example.com" in words and b"was refused: 535" in words, report.decode()
