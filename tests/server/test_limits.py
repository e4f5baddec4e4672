"""What one account may send, and what becomes of one that somebody else has taken over."""
import json
import re
import subprocess

import pytest

from harness import free_port, need, queued_id, wait_for
from peers import Hop
from test_login import PASSWORD, user
from test_submission import login, submit

ACCOUNTS = ("alice@example.com", "bob@example.com")


@pytest.fixture
def make(make_server, tmp_path):
    """A server with these limits, whose next hop is told by `refuse` what to say to RCPT."""
    hops = []

    def build(limits, replies=None):
        server = make_server("", start=False)
        server.submission, server.hop = free_port(), Hop(replies=replies)
        hops.append(server.hop)
        server.password = tmp_path / "password"
        server.password.write_text(PASSWORD + "\n")
        server.configure('relay_from = []\ndomain "example.com" { users = ["alice", "bob"] }\nqueue { retry = ["1s"] }\n'
                         f'listen submission {{ bind = ["127.0.0.1:{server.submission}"], role = submission }}\n'
                         f'route "*" {{ to = "smtp:127.0.0.1:{server.hop.port}", allow_loopback = true }}\n'
                         f'account {{ {limits} }}\n')
        for name in ACCOUNTS:
            user(server, "add", name)
        return server.start()
    yield build
    for hop in hops:
        hop.close()


def states(server):
    return sorted(r["state"] for m in server.queue() for r in m["recipients"])


def send(t, count, sender="alice@example.com"):
    """One message to so many strangers; the first reply that is not positive, or the last."""
    for command in [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<r{i}@far.test>" for i in range(count)), "DATA"]:
        reply = t.ask(command)
        if reply[0] not in "23":
            t.expect("RSET", "250")
            return reply
    t.send("Subject: x\r\n\r\n.\r\n")
    return t.reply()


def test_messages_and_recipients(make):
    server = make('rate = "4/h", recipients = "10/d", surge = 0')
    with login(server) as t, login(server) as other:
        queued_id(submit(t, "Subject: 1\r\n"))
        queued_id(send(t, 8))
        assert send(t, 2) == "452 4.7.1 Error: too many recipients from your account, try again later"
        other.expect("MAIL FROM:<alice@example.com>", "250")  # begun, and not counted yet
        other.expect("RCPT TO:<bob@example.com>", "250")
        queued_id(send(t, 1))
        other.expect("DATA", "354")
        other.send(".\r\n")
        assert other.reply().startswith("452 4.7.1 ")  # with it they would be one too many
        server.stop()
    server.start()
    with login(server) as t:
        assert send(t, 1).startswith("452 4.7.1 ")  # nothing was forgotten
    server.wait_log("event=refused", "code=452", "too many recipients from your account")
    with login(server, "bob@example.com") as t:
        for _ in range(4):
            queued_id(submit(t, "Subject: x\r\n", sender="bob@example.com"))
        assert submit_reply(t) == "450 4.7.1 Error: too many messages from your account, try again later"
    with server.talk() as t:
        queued_id(t.mail("bob@example.com"))  # what comes in is not limited


def submit_reply(t):
    return t.ask("MAIL FROM:<bob@example.com>")


def test_an_account_that_was_taken_over(make):
    server = make("surge_recipients = 20", replies={"MAIL": "451 4.7.1 later"})
    with login(server) as t:
        for _ in range(4):
            queued_id(send(t, 5))
        with login(server, "bob@example.com") as bob:
            queued_id(send(bob, 5, "bob@example.com"))
        assert send(t, 5) == "450 4.7.1 Error: your account is held, because it has sent far more than usual"
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("450 4.7.1 ")
    line = server.wait_log("event=account-held", "account=alice@example.com", "level=warn")
    assert 'why="25 recipients in about a day, usually 0"' in line
    server.wait_log("event=account-mail-held", "recipients=20")
    wait_for(lambda: states(server).count("held") == 20, 20, "what was under way is held too")
    assert len(states(server)) == 25
    reasons = {r["reason"] for m in server.queue() if m["sender"] == "alice@example.com" for r in m["recipients"]}
    assert reasons == {"held with its account, until `rockdove user release`"}
    server.kill()
    server.start()
    wait_for(lambda: states(server).count("held") == 20, 20, "it is held again")
    listed = json.loads(server.run("user", "list", "--json", check=True).stdout)
    assert sorted(len(a) for a in listed) == [1, 3]
    text = server.run("user", "list", check=True).stdout.decode()
    assert re.search(r"^alice@example\.com  held since 20\S+Z: 25 recipients in about a day, usually 0$", text, re.M)
    assert "\nbob@example.com\n" in "\n" + text
    with login(server) as t:
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("450 4.7.1 ")
    server.hop.replies.clear()
    assert server.run("user", "release", "bob@example.com").returncode == 69
    done = server.run("user", "release", "alice@example.com", check=True)
    assert done.stdout == b"alice@example.com is released, and so is its mail.\n"
    server.wait_log("event=account-released", "account=alice@example.com")
    server.wait_log("event=account-mail-released", "recipients=20")
    server.run("queue", "retry", "--all", check=True)
    wait_for(lambda: sum(len(m[1]) for m in server.hop.messages) == 25, 20, "all of it arrives")
    wait_for(lambda: server.queue() == [], 10, "the queue is empty")
    with login(server) as t:
        queued_id(send(t, 20))  # it is used to that now
    assert b"held" not in server.run("user", "list", check=True).stdout
    server.stop()
    assert server.run("user", "release", "alice@example.com").returncode == 69


def test_recipients_that_fail(make):
    server = make("surge_failures = 5", replies={"RCPT": "550 5.1.1 no such user"})
    with login(server) as t:
        queued_id(send(t, 4))
        server.wait_log("event=failed", count=4)
        t.expect("MAIL FROM:<alice@example.com>", "250")
        for i in range(2):
            t.expect(f"RCPT TO:<nobody{i}@example.com>", "550 5.1.1")
        t.expect("RSET", "250")
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("450 4.7.1 ")
    server.wait_log("event=account-held", "6 failing recipients in about a day")


def test_exempt(make):
    server = make('rate = "1/h", recipients = "2/d", surge_recipients = 2, exempt = ["alice@example.com"]')
    with login(server) as t:
        for _ in range(3):
            queued_id(send(t, 5))
    with login(server, "bob@example.com") as t:
        queued_id(send(t, 1, "bob@example.com"))
        assert send(t, 1, "bob@example.com").startswith("450 4.7.1 ")


def test_a_program_sees_it(make):
    server = make('rate = "1/h"')
    server.password.write_text("plain ascii")
    user(server, "passwd", "alice@example.com")
    codes = []
    for _ in range(2):
        done = subprocess.run(
            [need("swaks"), "-s", "127.0.0.1", "-p", str(server.submission), "-tls", "-a", "PLAIN", "-au", "alice@example.com",
             "-ap", "plain ascii", "-f", "alice@example.com", "-t", "bob@example.com"], capture_output=True, text=True, timeout=30)
        codes.append(done.returncode)
    assert codes == [0, 23] and "450 4.7.1 Error: too many messages" in done.stdout


def test_usage_that_makes_no_sense(make):
    server = make("")
    with login(server) as t:
        queued_id(send(t, 1))
    server.stop()
    (server.state / "usage").write_text("# rockdove usage 1\nnonsense\n")
    server.start()
    server.wait_log("event=usage-failed", "line 2")
    with login(server) as t:
        queued_id(send(t, 1))
