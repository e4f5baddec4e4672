"""Mail goes out: routing, retries, returns, and what the operator sees of it."""
import email
import email.policy
import json
import os
import re
import subprocess
import time

import pytest

from harness import free_port, need, queued_id, wait_for
from peers import Blackhole, Hop, dns

FAST = 'queue { retry = ["1s"] }\n'


def smart(hop, name="*", more=""):
    return f'route "{name}" {{ to = "smtp:{hop.host}:{hop.port}", allow_loopback = true {more} }}\n'


def bounce_of(server, user="sender", timeout=15):
    message = server.mailbox(user, "example.com").wait(1, timeout)[0]
    return email.message_from_bytes(message, policy=email.policy.default)


LOCAL = 'domain "example.com" { users = "*" }\n'


def test_two_recipients_in_two_domains_arrive_at_the_quicker_exchangers_before_quit(make_server, hops, tmp_path):
    port = free_port()
    delays = {"127.0.1.1": 0.15, "127.0.1.2": 0.0, "127.0.2.1": 0.0, "127.0.2.2": 0.15}
    at = {host: hops(host=host, port=port, delay={"EHLO": d}) for host, d in delays.items()}
    zones = {"one.test": "@ MX 10 a\n@ MX 10 b\na A 127.0.1.1\nb A 127.0.1.2\n",
             "two.test": "@ MX 10 a\n@ MX 10 b\na A 127.0.2.1\nb A 127.0.2.2\n"}
    with dns(tmp_path / "dns", zones) as dns_port:
        server = make_server(f'dns {{ servers = ["127.0.0.1:{dns_port}"], validate = off }}\n'
                             f'route "*" {{ to = mx, mx = latency, port = {port}, allow_loopback = true }}\n')
        content = b"Subject: travels\r\n\r\n.dots\r\n8-bit: \xc3\xa9\r\n"
        with server.talk() as t:
            for i in range(12):  # enough for each host to be known
                queued_id(t.mail(["x@one.test", "y@two.test"], content))
                wait_for(lambda: sum(len(h.messages) for h in at.values()) == 2 * (i + 1), 10, "both arrived")
                time.sleep(0.01)
            assert t.ask("QUIT").startswith("221")
        quick = len(at["127.0.1.2"].messages) + len(at["127.0.2.1"].messages)
        slow = len(at["127.0.1.1"].messages) + len(at["127.0.2.2"].messages)
        assert quick > slow, (quick, slow)
        sender, recipients, arrived = at["127.0.1.2"].messages[-1]
        assert (sender, recipients) == ("sender@example.org", ["x@one.test"])
        assert arrived.endswith(content) and arrived.startswith(b"Received: from client.test")
        route = server.run("route", "x@one.test", check=True).stdout.decode()
        assert "127.0.1.1" in route and "127.0.1.2" in route and "10" in route


def test_preference_comes_first_and_fallback(make_server, hops, tmp_path):
    port = free_port()
    backup = hops(host="127.0.1.2", port=port)
    zones = {"one.test": "@ MX 10 a\n@ MX 20 b\na A 127.0.1.1\nb A 127.0.1.2\n",
             "nomx.test": "@ A 127.0.1.2\n", "null.test": "@ MX 0 .\n", "cname.test": "w CNAME real\nreal MX 5 h\nh A 127.0.1.2\n"}
    with dns(tmp_path / "dns", zones) as dns_port:
        server = make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{dns_port}"], validate = off }}\n'
                             f'route "*" {{ to = mx, port = {port}, allow_loopback = true }}\n')
        with server.talk() as t:
            t.mail("x@one.test", sender="s1@example.com")
            t.mail("x@nomx.test", sender="s1@example.com")
            t.mail("x@w.cname.test", sender="s1@example.com")
            backup.wait(3)
            t.mail("x@null.test", sender="null@example.com")
            t.mail("x@[127.0.1.2]", sender="s1@example.com")
            backup.wait(4)
        assert "5.1.10" in bounce_of(server, "null").as_string()


def test_unknown_domain_is_returned_and_broken_dns_retried(make_server, tmp_path):
    with dns(tmp_path / "dns", {"test": "broken NS nowhere.broken\n"}) as port:
        server = make_server(LOCAL + FAST + f'dns {{ servers = ["127.0.0.1:{port}"], validate = off }}\n')
        with server.talk() as t:
            t.mail("x@unknown.test", sender="a@example.com")
            refused = queued_id(t.mail("x@elsewhere.example", sender="b@example.com"))
        assert "5.1.2" in bounce_of(server, "a").as_string()
        entry = wait_for(lambda: [m for m in server.queue() if m["id"] == refused and m["recipients"][0]["reason"]], 15)[0]
        assert entry["recipients"][0]["state"] == "due"


def test_ourselves_is_a_loop(make_server, tmp_path):
    zones = {"self.test": "@ MX 10 me\nme A 127.0.0.1\n"}
    with dns(tmp_path / "dns", zones) as port:
        server = make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{port}"], validate = off }}\n')
        with server.talk() as t:
            t.mail("x@self.test", sender="a@example.com")
        assert "5.4.6" in bounce_of(server, "a").as_string()


def test_a_listener_on_every_address_knows_itself(make_server, tmp_path):
    """In a network namespace of its own, where lo has one more address."""
    if "IN_NAMESPACE" not in os.environ:
        here = f"{__file__}::test_a_listener_on_every_address_knows_itself"
        inside = (f"ip link set lo up && ip addr add 192.0.2.7/32 dev lo && "
                  f"exec /usr/bin/python3 -m pytest -q -p no:cacheprovider {here}")
        result = subprocess.run(["unshare", "--net", "sh", "-c", inside], capture_output=True, timeout=60,
                                env={**os.environ, "IN_NAMESPACE": "1"})
        assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
        return
    port = free_port()
    with dns(tmp_path / "dns", {"self.test": "@ MX 10 me\nme A 192.0.2.7\n"}) as dns_port:
        server = make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{dns_port}"], validate = off }}\n'
                             f'listen all {{ bind = ["0.0.0.0:{port}"] }}\n')
        with server.talk() as t:
            t.mail("x@self.test", sender="a@example.com")
        assert "5.4.6" in bounce_of(server, "a").as_string()


def test_temporary_failure_is_retried_with_its_reason_shown(make_server, hops):
    hop = hops(replies=lambda hop, verb, line, state:
               "451 4.7.1 greylisted, come back" if verb == "RCPT" and len(hop.commands("RCPT")) < 3 else None)
    server = make_server('queue { retry = ["1s"] }\n' + smart(hop))
    with server.talk() as t:
        id = queued_id(t.mail("x@elsewhere.test"))
    entry = wait_for(lambda: [m for m in server.queue() if m["recipients"][0]["attempts"]], 10)[0]
    assert entry["id"] == id
    assert "greylisted" in entry["recipients"][0]["reason"]
    assert re.match(r"\d{4}-\d\d-\d\dT", entry["recipients"][0]["next_attempt"])
    hop.wait(timeout=15)
    wait_for(lambda: server.queue() == [], 5, "queue is empty")
    assert len(hop.commands("RCPT")) == 3


def test_permanent_failure_is_returned_once(make_server, hops):
    hop = hops(replies=lambda hop, verb, line, state:
               "550 5.1.1 <%s> no such user here" % line[9:-1] if verb == "RCPT" and "bad" in line else None)
    server = make_server(LOCAL + smart(hop))
    with server.talk() as t:
        id = queued_id(t.mail(["good@e.test", "bad1@e.test", "bad2@e.test"], b"Subject: precious\r\n\r\nbody text\r\n",
                              sender="sender@example.com"))
    bounce = bounce_of(server)
    assert [r for _, r, _ in hop.messages] == [["good@e.test"]]
    assert bounce["From"].addresses[0].addr_spec.startswith("MAILER-DAEMON@")
    assert bounce.get_content_type() == "multipart/report"
    human, status, original = bounce.iter_parts()
    text = " ".join(human.get_content().split())
    assert "bad1@e.test" in text and "bad2@e.test" in text and "no such user here" in text
    fields = [dict(p.items()) for p in status.get_payload()]
    assert fields[0]["Reporting-MTA"] == "dns; mail.example.com"
    assert {f["Final-Recipient"].replace(" ", "") for f in fields[1:]} == {"rfc822;bad1@e.test", "rfc822;bad2@e.test"}
    assert all(f["Action"] == "failed" and f["Status"] == "5.1.1" for f in fields[1:])
    assert all("no such user" in f["Diagnostic-Code"] for f in fields[1:])
    assert "Subject: precious" in original.as_string()
    raw = server.mailbox("sender", "example.com").messages()
    assert raw[0].startswith(b"Return-Path: <>\n")
    time.sleep(0.5)
    assert len(server.mailbox("sender", "example.com").files()) == 1
    trace = server.run("trace", id, check=True).stdout.decode()
    assert "bad1@e.test" in trace and "5.1.1" in trace and "good@e.test" in trace


def test_no_return_for_the_null_reverse_path(make_server, hops):
    hop = hops(replies={"RCPT": "550 5.1.1 no"})
    server = make_server(LOCAL + smart(hop))
    with server.talk() as t:
        id = queued_id(t.mail("x@e.test", sender=""))
    wait_for(lambda: server.queue() == [], 10, "queue is empty")
    server.wait_log(id, "failed")
    assert len(hop.commands("MAIL")) == 1


def test_returns_follow_aliases_and_make_no_mailboxes(make_server, hops):
    hop = hops(replies={"RCPT": "550 5.1.1 no"})
    server = make_server('domain "example.com" { users = ["alice"], aliases { sales = "alice" } }\n' + smart(hop))
    with server.talk() as t:
        t.mail("x@e.test", sender="sales@example.com")
        stranger = queued_id(t.mail("y@e.test", sender="stranger@example.com"))
    assert b"x@e.test" in server.mailbox("alice", "example.com").wait(1)[0]
    wait_for(lambda: server.queue() == [], 10, "queue is empty")
    assert [p.name for p in (server.state / "mail" / "example.com").iterdir()] == ["alice"]
    server.wait_log(stranger, "bounced")


def test_notify_and_ret(make_server, hops):
    hop = hops(replies={"RCPT": "550 5.1.1 no"}, extensions=("PIPELINING",))
    server = make_server(LOCAL + smart(hop))
    with server.talk() as t:
        t.ask("EHLO x")
        t.ask("MAIL FROM:<n@example.com> RET=FULL ENVID=env+2B1")
        t.ask("RCPT TO:<x@e.test> NOTIFY=NEVER")
        t.ask("RCPT TO:<y@e.test> NOTIFY=FAILURE ORCPT=rfc822;orig@e.test")
        t.ask("DATA")
        t.send("Subject: whole\r\n\r\nthe body\r\n.\r\n")
        t.reply()
    bounce = bounce_of(server, "n")
    _, status, original = bounce.iter_parts()
    fields = [dict(p.items()) for p in status.get_payload()]
    assert fields[0]["Original-Envelope-Id"] == "env+1"
    assert len(fields) == 2
    assert fields[1]["Original-Recipient"].replace(" ", "") == "rfc822;orig@e.test"
    assert original.get_content_type() == "message/rfc822" and "the body" in original.as_string()


def test_expiry(make_server):
    server = make_server(LOCAL + 'queue { retry = ["1s"], lifetime = 2s }\n'
                         f'route "*" {{ to = "smtp:127.0.0.1:{free_port()}", allow_loopback = true }}\n')
    with server.talk() as t:
        t.mail("x@e.test", sender="sender@example.com")
    bounce = bounce_of(server, timeout=90)
    assert "4.4" in bounce.as_string() or "5.4" in bounce.as_string()
    assert "refused" in bounce.as_string()


def test_operator(make_server, hops):
    hop = hops()
    port = free_port()
    server = make_server(f'route "dead.test" {{ to = "smtp:127.0.0.1:{port}", allow_loopback = true }}\n' + smart(hop))
    with server.talk() as t:
        ids = [queued_id(t.mail(f"u{i}@dead.test", b"Subject: s\r\n\r\nprint me\r\n")) for i in range(3)]
    wait_for(lambda: all(m["recipients"][0]["reason"] for m in server.queue()), 10)
    assert {m["id"] for m in server.queue()} == set(ids)
    assert "refused" in server.queue()[0]["recipients"][0]["reason"]
    assert b"u0@dead.test" in server.run("queue", "show", ids[0], check=True).stdout
    assert b"print me" in server.run("queue", "show", ids[0], "--message", check=True).stdout
    server.run("queue", "hold", ids[0], check=True)
    assert [m for m in server.queue() if m["id"] == ids[0]][0]["recipients"][0]["state"] == "held"
    server.run("queue", "delete", ids[1], check=True)
    assert ids[1] not in {m["id"] for m in server.queue()}
    server.stop()
    server.start()  # all of it survives
    assert {m["id"]: m["recipients"][0]["state"] for m in server.queue()} == {ids[0]: "held", ids[2]: "due"}
    late = Hop(port=port)
    try:
        server.run("queue", "retry", "--domain", "dead.test", check=True)
        late.wait(1)
        assert late.messages[0][1] == ["u2@dead.test"]
        server.run("queue", "release", "--all", check=True)
        late.wait(2)
    finally:
        late.close()
    wait_for(lambda: server.queue() == [], 5)
    assert server.run("queue", "show", ids[0]).returncode != 0
    stats = server.run("queue", "stats", check=True).stdout
    assert b"deleted" in stats


def test_a_dead_destination_costs_the_others_nothing(make_server, hops):
    hop = hops()
    server = make_server(f'route "dead.test" {{ to = "smtp:127.0.0.1:{free_port()}", allow_loopback = true }}\n' + smart(hop))
    with server.talk() as t:
        for _ in range(200):
            t.mail("x@dead.test")
        began = time.monotonic()
        t.mail("y@alive.test")
        hop.wait(1)
        assert time.monotonic() - began < 2


def test_connects_race(make_server, hops, tmp_path):
    """The first address hangs; the second is tried a quarter of a second later and wins."""
    hole = Blackhole(host="127.0.3.1")
    try:
        hop = hops(host="127.0.3.2", port=hole.port)
        with dns(tmp_path / "dns", {"slow.test": "@ MX 10 a\n@ MX 20 b\na A 127.0.3.1\nb A 127.0.3.2\n"}) as port:
            server = make_server(f'dns {{ servers = ["127.0.0.1:{port}"], validate = off }}\n'
                                 f'route "*" {{ to = mx, port = {hole.port}, allow_loopback = true }}\n')
            with server.talk() as t:
                t.mail("x@slow.test")
            hop.wait(1, timeout=5)
    finally:
        hole.close()


def test_a_blackhole_with_50000_messages_costs_the_others_nothing(make_server, hops):
    hole = Blackhole()
    hop = hops()
    try:
        server = make_server(f'route "hole.test" {{ to = "smtp:127.0.0.1:{hole.port}", allow_loopback = true }}\n'
                             f'limits {{ connections_per_client = 1000 }}\n' + smart(hop))

        def load(recipient, count):
            subprocess.run([need("smtp-source"), "-d", "-s", "50", "-m", str(count), "-l", "200", "-f", "a@src.test",
                            "-t", recipient, f"127.0.0.1:{server.port}"], check=True, capture_output=True, timeout=300)

        def through(count):
            began, before = time.monotonic(), len(hop.messages)
            load("y@alive.test", count)
            hop.wait(before + count, timeout=60)
            return time.monotonic() - began
        through(200)
        alone = min(through(1000) for _ in range(2))
        load("x@hole.test", 50_000)
        beside = min(through(1000) for _ in range(2))
        assert beside < 3 * alone + 1, (alone, beside)  # the exact figure is bench/'s; this catches being stuck behind it
        with server.talk() as t:
            t.mail("y@alive.test")
            hop.wait(200 + 4000 + 1, timeout=5)
        stats = json.loads(server.run("queue", "stats", "--json", check=True).stdout)
        assert stats["queue"]["messages"] == 50_000, stats
    finally:
        hole.close()


def test_connections_and_rate_are_kept(make_server, hops):
    hop = hops(delay={"DATA": 0.05})
    server = make_server(smart(hop, more=", connections = 3"))
    with server.talk() as t:
        for i in range(30):
            t.mail("x@e.test")
    hop.wait(30)
    assert hop.most_open <= 3
    assert hop.connections < 30, "connections are reused"
    limited = hops()
    server = make_server(smart(limited, more=', rate = "5/s"'), name="rate")
    with server.talk() as t:
        for i in range(15):
            t.mail("x@e.test")
    limited.wait(15, timeout=20)
    assert limited.times[-1] - limited.times[0] > 1.5


def test_manners_of_peers(make_server, hops):
    """421, early close, close after the dot: nothing is lost, and the doubtful case is said."""
    calls = {"n": 0}

    def replies(hop, verb, line, state):
        if verb == "MAIL":
            calls["n"] += 1
            return {1: "421 4.3.2 not now", 2: "close"}.get(calls["n"])
        if verb == "END" and calls["n"] == 3:
            return "close"
        return None
    hop = hops(replies=replies)
    server = make_server(FAST + smart(hop))
    with server.talk() as t:
        id = queued_id(t.mail("x@e.test"))
    hop.wait(1, timeout=30)
    wait_for(lambda: server.queue() == [], 10)
    assert "doubt" in server.log()


def test_eight_bit_for_a_seven_bit_hop(make_server, hops):
    hop = hops(extensions=("PIPELINING",))
    server = make_server(LOCAL + smart(hop))
    content = ("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
               "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n").encode()
    with server.talk() as t:
        t.mail("x@e.test", content)
        (_, _, arrived), = hop.wait(1)
        assert max(arrived) < 128
        parsed = email.message_from_bytes(arrived, policy=email.policy.default)
        assert parsed.get_content().strip() == "Grüße"
        signed = b"DKIM-Signature: v=1; d=x\r\n" + content
        t.mail("x@e.test", signed, sender="s@example.com")
    assert "5.6.3" in bounce_of(server, "s").as_string()


def test_lmtp(make_server, hops):
    hop = hops(lmtp=True, replies=lambda hop, verb, line, state: None)
    server = make_server(f'domain "example.com" {{ users = "*", deliver = "lmtp:127.0.0.1:{hop.port}" }}\n')
    with server.talk() as t:
        t.mail(["a@example.com", "b@example.com"])
    hop.wait(1)
    assert hop.messages[0][1] == ["a@example.com", "b@example.com"]
    assert hop.commands("LHLO")


def test_discard_and_reject(make_server):
    server = make_server(LOCAL + 'route "hole.test" { to = "discard:" }\nroute "no.test" { to = "reject:we do not send there" }\n')
    with server.talk() as t:
        t.mail("x@hole.test")
        t.mail("x@no.test", sender="sender@example.com")
    assert "we do not send there" in bounce_of(server).as_string()
    wait_for(lambda: server.queue() == [], 5)


def test_trace_by_everything(make_server, hops):
    hop = hops()
    server = make_server(smart(hop))
    with server.talk() as t:
        id = queued_id(t.mail("x@e.test", b"Message-ID: <unique-1@x>\r\n\r\nhi\r\n", sender="who@example.org"))
    hop.wait(1)
    wait_for(lambda: server.queue() == [], 5)
    for what in (id, "<unique-1@x>", "who@example.org", "x@e.test"):
        text = server.run("trace", what, check=True).stdout.decode()
        assert id in text and "delivered" in text and f":{hop.port}" in text and "taken" in text, (what, text)
    assert server.run("trace", "nobody@nowhere.test").returncode != 0
    server.stop()
    server.start()
    assert id in server.run("trace", id, check=True).stdout.decode()
