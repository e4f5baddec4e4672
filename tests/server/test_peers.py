"""Real next hops: what is relayed to them arrives as it was, and what they refuse, their sender learns."""
import base64
import binascii
import email
import email.policy
import json
import os
import random
import re
import subprocess
import threading
import time

import pytest
from aiosmtpd.controller import Controller

from harness import free_port, need, queued_id, wait_for
from peers import Hop
from real_peers import Wire, dovecot, postfix, public_directory, sink, taken

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Postfix and Dovecot want to be started by root")

LOCAL = 'domain "example.com" { users = "*" }\n'
FAST = 'queue { retry = ["1s"] }\n'


def to(port, name="*", more=""):
    return f'route "{name}" {{ to = "smtp:127.0.0.1:{port}", allow_loopback = true {more} }}\n'


def parsed(message):
    return email.message_from_bytes(message, policy=email.policy.default)


def returned(server, user, timeout=20):
    return parsed(server.mailbox(user, "example.com").wait(1, timeout)[0])


def status_of(bounce):
    """The fields of each recipient in a DSN, by its address."""
    _, status, _ = bounce.iter_parts()
    fields = [dict(p.items()) for p in status.get_payload()[1:]]
    return {f["Final-Recipient"].split(";")[1].strip(): f for f in fields}


def queue_is_empty(server, timeout=20):
    wait_for(lambda: server.queue() == [], timeout, "queue is empty")


def stats(server):
    return json.loads(server.run("queue", "stats", "--json", check=True).stdout)


# ---- Postfix --------------------------------------------------------------------------------------

USERS = ["alice", "grey"] + [f"u{i}" for i in range(50)]


@pytest.fixture(scope="module")
def mta():
    with postfix(USERS) as running:
        yield running


HEADER = (b"From: Sender <sender@example.com>\r\nTo: alice@post.test\r\nMessage-ID: <%s@example.com>\r\n"
          b"Date: Sun, 22 Nov 2026 06:00:00 +0000\r\nSubject: %s\r\n")


def contents():
    """Whole messages of every kind that may come along a line."""
    chance = random.Random(3)
    binary = chance.randbytes(30_000)
    uu = b"begin 644 data.bin\r\n" + b"".join(
        binascii.b2a_uu(binary[i:i + 45]).replace(b"\n", b"\r\n") for i in range(0, 4500, 45)) + b"`\r\nend\r\n"
    mime = (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n--=_b\r\n"
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(binary).replace(b"\n", b"\r\n") + b"--=_b--\r\nepilogue\r\n")
    hqx = binascii.b2a_hex(binary[:3000]).translate(bytes.maketrans(b"0123456789abcdef", b"!\"#$%&'()*+,-012"))
    binhex = b"(This file must be converted with BinHex 4.0)\r\n:" + b"\r\n".join(
        hqx[i:i + 64] for i in range(0, len(hqx), 64)) + b":\r\n"
    bodies = {
        b"mime": mime,
        b"uuencode": b"\r\n" + uu,
        b"binhex": b"\r\n" + binhex,
        b"8-bit": b"\r\n" + bytes(c for c in range(1, 256) if c not in b"\r\n") + b"\r\nlatin: \xe9\xfc\r\n",
        b"dots": b"\r\n.\r\n..\r\n.leading\r\n...\r\n \r\nFrom here on\r\n\t\r\n.\r\n\r\n\r\n",
        b"long": b"\r\n" + b"x" * 998 + b"\r\n" + b"y" * 5000 + b"\r\n." + b"z" * 2047 + b"\r\nend\r\n",
        b"empty": b"\r\n",
        b"large": b"\r\n" + base64.encodebytes(chance.randbytes(180_000)).replace(b"\n", b"\r\n"),
    }
    return {name: HEADER % (name, name) + body for name, body in bodies.items()}


def test_postfix_takes_every_content_octet_for_octet(make_server, mta):
    wire = Wire(mta.port)
    try:
        server = make_server(to(wire.port))
        with server.talk() as t:
            for content in contents().values():
                queued_id(t.mail("alice@post.test", content, sender="sender@example.com"))
        box = mta.mailbox("alice")
        messages = {parsed(m)["Subject"]: m for m in box.wait(len(contents()), timeout=20)}
        for name, content in contents().items():
            arrived, content = messages[name.decode()], content.replace(b"\r\n", b"\n")
            assert arrived.endswith(content), name
            trace = arrived[:-len(content)].decode()
            fields = re.findall(r"^([\w-]+):", trace, re.M)
            assert fields == ["Return-Path", "X-Original-To", "Delivered-To", "Received", "Received"], trace
            assert "Return-Path: <sender@example.com>" in trace
        queue_is_empty(server)
        sent = wire.sent()
        assert b"\r\nBDAT " in sent and b"\r\nDATA\r\n" not in sent
        assert any(p.count(b"MAIL FROM") and p.count(b"RCPT TO") and p.count(b"BDAT") for p in wire.pieces), "pipelined"
        assert sent.count(b"EHLO ") < len(contents()), "connections are reused"
    finally:
        wire.close()


def test_postfix_refuses_a_recipient(make_server, mta):
    server = make_server(LOCAL + to(mta.port))
    with server.talk() as t:
        t.mail(["alice@post.test", "nobody-there@post.test"], HEADER % (b"half", b"half") + b"\r\nx\r\n",
               sender="half@example.com")
    fields = status_of(returned(server, "half"))
    assert list(fields) == ["nobody-there@post.test"]
    refused = fields["nobody-there@post.test"]
    assert (refused["Action"], refused["Status"]) == ("failed", "5.1.1")
    assert "550 5.1.1" in refused["Diagnostic-Code"] and "User unknown" in refused["Diagnostic-Code"]
    assert "127.0.0.1" in refused["Remote-MTA"]
    wait_for(lambda: any(parsed(m)["Subject"] == "half" for m in mta.mailbox("alice").messages()), 10, "the other arrived")


def test_postfix_greylists(make_server, mta):
    server = make_server(LOCAL + 'queue { retry = ["2s"] }\n' + to(mta.port))
    mta.policy.seen.clear()
    with server.talk() as t:
        t.mail("grey@post.test", HEADER % (b"grey", b"grey") + b"\r\nx\r\n", sender="grey@example.com")
    waiting, = wait_for(lambda: [m for m in server.queue() if m["recipients"][0]["attempts"]], 10, "put off")
    assert "Greylisted, please come back" in waiting["recipients"][0]["reason"]
    mta.mailbox("grey").wait(1, timeout=15)
    queue_is_empty(server)
    assert mta.policy.seen["grey@post.test"] == 2
    assert not server.mailbox("grey", "example.com").files()


def test_postfix_takes_no_message_so_large(make_server, mta):
    server = make_server(LOCAL + to(mta.port))
    with server.talk() as t:
        t.mail("alice@post.test", HEADER % (b"big", b"big") + b"\r\n" + b"x" * 70 * 6000 + b"\r\n", sender="big@example.com")
    bounce = returned(server, "big")
    assert status_of(bounce)["alice@post.test"]["Status"] == "5.3.4"
    assert list(bounce.iter_parts())[2].get_content_type() == "text/rfc822-headers"
    queue_is_empty(server)


def test_more_recipients_than_postfix_takes_at_once(make_server, mta):
    """It takes 20 (452 4.5.3 for the rest): the others follow in further transactions, soon, and nobody gets it twice."""
    server = make_server(LOCAL + 'queue { retry = ["60s"] }\n' + to(mta.port))
    with server.talk() as t:
        t.mail([f"u{i}@post.test" for i in range(50)], HEADER % (b"many", b"many") + b"\r\nx\r\n", sender="many@example.com")
    for i in range(50):
        mta.mailbox(f"u{i}").wait(1, timeout=20)
    queue_is_empty(server)
    assert all(len(mta.mailbox(f"u{i}").files()) == 1 for i in range(50))
    assert not server.mailbox("many", "example.com").files()


def test_postfix_is_the_sender(make_server, mta):
    make_server(LOCAL.replace('"*"', '["alice", "bob"]'), start=False)
    server = make_server(LOCAL.replace('"*"', '["alice", "bob"]'), name="hub", port=mta.relay_port)
    for name, content in contents().items():
        if name != b"long":  # Postfix's client itself breaks such lines
            mta.sendmail("bob@example.com", ["alice@example.com"], content.replace(b"\r\n", b"\n"))
    wanted = {n: c for n, c in contents().items() if n != b"long"}
    box = server.mailbox("alice", "example.com")
    messages = {parsed(m)["Subject"]: m for m in box.wait(len(wanted), timeout=20)}
    for name, content in wanted.items():
        assert messages[name.decode()].endswith(content.replace(b"\r\n", b"\n")), name
    # DSN: asked for through Postfix, made here, for Postfix passes it on.
    mta.sendmail("bob@example.com", ["alice@example.com"], b"Subject: tell me\n\nx\n", "-N", "success", "-V", "env-17")
    bounce = returned(server, "bob")
    assert status_of(bounce)["alice@example.com"]["Action"] == "delivered"
    assert "env-17" in bounce.as_string()
    # And refused here, it comes back from Postfix, with the null reverse-path.
    mta.sendmail("bob@example.com", ["nobody@example.com"], b"Subject: in vain\n\nx\n")
    back = server.mailbox("bob", "example.com").wait(2, timeout=20)
    back = next(m for m in back if b"postfix.test" in m and b"550 5.1.1" in m)
    assert back.startswith(b"Return-Path: <>\n")


# ---- smtp-sink and its faults ---------------------------------------------------------------------

GOOD = {  # options with which all is well
    "plain": [], "no-esmtp": ["-e"], "pix": ["-P"], "no-pipelining": ["-p"], "seven-bit": ["-8"],
    "slow": ["-w", "1"], "slow-mail": ["-p", "-W", "MAIL:1"], "helo": ["-f", "EHLO"], "quit-q": ["-q", "QUIT"],
    "quit-f": ["-f", "QUIT"], "no-codes": ["-E"],
}
STEPS = {"connect": "CONNECT", "ehlo": "EHLO,HELO", "mail": "MAIL", "rcpt": "RCPT", "data": "DATA", "dot": "."}
WAITING = {f"{kind}-{name}": [f"-{option}", commands] for kind, option in (("close", "q"), ("leave", "Q"), ("soft", "r"))
           for name, commands in STEPS.items()}
WAITING |= {"hard-connect": ["-f", "CONNECT"], "hard-ehlo": ["-f", "EHLO,HELO"]}
RETURNED = {f"hard-{name}": ["-f", STEPS[name]] for name in ("mail", "rcpt", "data", "dot")}
EACH = 4


def test_smtp_sink_with_every_fault(make_server):
    """Every message ends delivered or returned, or waits and is delivered once the peer is well; nothing is lost."""
    cases = GOOD | WAITING | RETURNED
    ports = {name: free_port() for name in cases}
    config = LOCAL + 'queue { retry = ["1s", "30s"] }\n'
    config += "".join(to(ports[name], f"{name}.test") for name in cases)
    server = make_server(config)
    sinks, expected = {}, {}
    with public_directory() as directory:
        try:
            for name, options in cases.items():
                sinks[name] = sink(directory / name, *options, port=ports[name])
                sinks[name].__enter__()
            with server.talk() as t:
                for i in range(EACH):
                    for name in cases:
                        text = b"Subject: n\r\n\r\nserial-%s-%d!\r\n" % (name.encode(), i)
                        expected[name, i] = queued_id(t.mail(f"x@{name}.test", text, sender=f"{name}@example.com"))

            def waiting():
                return {m["id"]: m["recipients"][0] for m in server.queue()}

            def came(where, name):
                text = b"".join(taken(directory / where))
                return [text.count(b"serial-%s-%d!" % (name.encode(), i)) for i in range(EACH)]
            for name in GOOD:
                wait_for(lambda: came(name, name) == [1] * EACH, 20,
                         f"{name}: all are taken, once each ({came(name, name)})")
            for name in RETURNED:
                for message in server.mailbox(name, "example.com").wait(EACH, timeout=20):
                    field, = status_of(parsed(message)).values()
                    assert field["Action"] == "failed" and "5.3.0" in field["Diagnostic-Code"], (name, field)
            wait_for(lambda: all(expected[n, i] in waiting() and waiting()[expected[n, i]]["reason"]
                                 for n in WAITING for i in range(EACH)), 20, "the others wait, and know why")
            assert set(waiting()) == {id for (name, _), id in expected.items() if name in WAITING}
            for name in WAITING:  # the peers get well
                sinks.pop(name).__exit__(None, None, None)
                sinks[name] = sink(directory / (name + "-well"), port=ports[name])
                sinks[name].__enter__()
            server.run("queue", "retry", "--all", check=True)
            queue_is_empty(server)
            for name in WAITING:  # smtp-sink answers before its file is whole
                wait_for(lambda: came(name + "-well", name) == [1] * EACH, 20,
                         f"{name}: all come, once each ({came(name + '-well', name)})")
        finally:
            for running in sinks.values():
                running.__exit__(None, None, None)
    assert not any(server.mailbox(name, "example.com").files() for name in GOOD | WAITING)
    assert all(len(server.mailbox(name, "example.com").files()) == EACH for name in RETURNED)
    numbers = stats(server)["queue"]
    assert numbers["failed"] == EACH * len(RETURNED) and numbers["expired"] == 0, numbers
    assert numbers["delivered"] == EACH * (len(GOOD) + len(WAITING) + len(RETURNED)), numbers  # the last are DSNs
    doubts = [l for l in server.log().splitlines() if "doubtful=yes" in l]
    assert doubts and all("close-dot" in l or "leave-dot" in l for l in doubts)


# ---- Dovecot --------------------------------------------------------------------------------------

def test_dovecot_over_lmtp(make_server):
    """A reply for each recipient, at RCPT and after the content; on a socket and on a port."""
    with dovecot(["ann", "ben"], full=["full"]) as box:
        server = make_server(
            LOCAL + f'domain "dove.test" {{ users = "*", deliver = "lmtp:{box.socket}" }}\n'
            f'domain "port.test" {{ users = "*", deliver = "lmtp:127.0.0.1:{box.port}" }}\n')
        content = contents()[b"dots"]
        with server.talk() as t:
            t.mail(["ann@dove.test", "full@dove.test", "unknown@dove.test", "ben@dove.test"], content, sender="s@example.com")
            t.mail("ann+tag@port.test", content, sender="s@example.com")
        for user, count in (("ann", 2), ("ben", 1)):
            for message in box.mailbox(user).wait(count, timeout=15):
                # Dovecot keeps CRLF as it is told to, or LF: the content is what counts.
                assert message.replace(b"\r\n", b"\n").endswith(content.replace(b"\r\n", b"\n"))
                assert message.startswith(b"Return-Path: <s@example.com>")
        queue_is_empty(server)
        found = {}
        for message in server.mailbox("s", "example.com").messages():
            found |= {address: f["Status"] for address, f in status_of(parsed(message)).items()}
        assert found == {"full@dove.test": "5.2.2", "unknown@dove.test": "5.1.1"}
        assert len(server.mailbox("s", "example.com").files()) == 1, "one DSN for failures known together"
        assert len(box.mailbox("ann").files()) == 2 and len(box.mailbox("ben").files()) == 1


def test_dovecot_comes_back(make_server):
    """Local mail waits for an LMTP server that is away, and goes when it is there."""
    port = free_port()
    server = make_server(LOCAL + FAST + f'domain "port.test" {{ users = "*", deliver = "lmtp:127.0.0.1:{port}" }}\n')
    with server.talk() as t:
        t.mail("ann@port.test")
    entry, = wait_for(lambda: [m for m in server.queue() if m["recipients"][0]["reason"]], 10, "it waits")
    assert "refused" in entry["recipients"][0]["reason"]
    with dovecot(["ann"], port=port) as box:
        box.mailbox("ann").wait(1)
        queue_is_empty(server)


# ---- aiosmtpd -------------------------------------------------------------------------------------

class Keeper:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 2.0.0 kept"


@pytest.fixture
def keeper():
    kept = Keeper()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
    controller.start()
    kept.port = controller.port
    yield kept
    controller.stop()


def test_aiosmtpd_and_smtputf8(make_server, keeper):
    """No PIPELINING, no CHUNKING, but SMTPUTF8."""
    server = make_server(LOCAL + to(keeper.port))
    content = "Subject: Grüße\r\nFrom: <jörg@bücher.test>\r\n\r\n.\r\nüber alles\r\n".encode()
    with server.talk() as t:
        t.ask("EHLO client.test")
        assert t.ask("MAIL FROM:<jörg@bücher.test> SMTPUTF8 BODY=8BITMIME").startswith("250")
        assert t.ask("RCPT TO:<zoë@größe.test>").startswith("250")
        t.ask("DATA")
        t.send(content.replace(b"\r\n.\r\n", b"\r\n..\r\n") + b".\r\n")
        queued_id(t.reply())
    wait_for(lambda: keeper.envelopes, 10, "arrival")
    envelope, = keeper.envelopes
    assert envelope.mail_from == "jörg@bücher.test"
    assert [r.lower() for r in envelope.rcpt_tos] in (["zoë@größe.test"], ["zoë@xn--gre-6ka8i.test"])
    assert envelope.content.endswith(content)
    assert "SMTPUTF8" in envelope.mail_options and envelope.smtp_utf8


def test_smtputf8_where_it_is_not_offered(make_server, mta):
    with public_directory() as directory, sink(directory) as port:
        server = make_server(LOCAL + to(port))
        with server.talk() as t:
            t.ask("EHLO client.test")
            t.ask("MAIL FROM:<u@example.com> SMTPUTF8")
            assert t.ask("RCPT TO:<zoë@e.test>").startswith("250")
            t.ask("DATA")
            t.send("Subject: x\r\n\r\nx\r\n.\r\n")
            queued_id(t.reply())
        assert "5.6.7" in returned(server, "u").as_string()


# ---- returns --------------------------------------------------------------------------------------

def test_a_hop_that_begins_to_refuse_everything_is_paused(make_server):
    """The mass-return breaker: a few are returned, then the hop is paused, until the operator tries again."""
    broken = [True]
    hop = Hop(replies=lambda hop, verb, line, state:
              "554 5.7.1 the filter has lost its mind" if broken[0] and verb == "RCPT" else None)
    try:
        server = make_server(LOCAL + 'queue { retry = ["1s"], return_breaker = 5 }\n' + to(hop.port))
        with server.talk() as t:
            for i in range(40):
                t.mail("x@e.test", b"Subject: %d\r\n\r\nx\r\n" % i, sender="many@example.com")
        server.wait_log("paused", "lost its mind")
        time.sleep(3)  # retries of one second would have returned all by now
        gone = len(server.mailbox("many", "example.com").files())
        assert 0 < gone < 5
        queue = server.queue()
        assert len(queue) == 40 - gone
        assert all("lost its mind" in m["recipients"][0]["reason"] for m in queue)
        assert len(hop.commands("MAIL")) < 40
        server.run("queue", "retry", "--all", check=True)  # too early: a few more, and it is paused again
        server.wait_log("paused", count=2)
        time.sleep(0.5)
        assert len(server.mailbox("many", "example.com").files()) < 10
        left = len(server.queue())
        broken[0] = False
        server.run("queue", "retry", "--all", check=True)
        hop.wait(left, timeout=15)
        queue_is_empty(server)
        assert len(server.mailbox("many", "example.com").files()) == 40 - left
        assert len(hop.messages) == left
    finally:
        hop.close()


def test_unknown_users_do_not_pause_a_hop(make_server):
    hop = Hop(replies={"RCPT": "550 5.1.1 no such user"})
    try:
        server = make_server(LOCAL + 'queue { return_breaker = 20 }\n' + to(hop.port))
        with server.talk() as t:
            for i in range(40):
                t.mail(f"u{i}@e.test", sender="list@example.com")
        server.mailbox("list", "example.com").wait(40)
        assert "paused" not in server.log()
    finally:
        hop.close()


def test_delay_is_told_once_and_to_whom_it_matters(make_server):
    well = [False]
    hop = Hop(replies=lambda hop, verb, line, state: "450 4.2.0 busy, ask later" if verb == "RCPT" and not well[0] else None)
    try:
        server = make_server(LOCAL + 'queue { retry = ["1s"], delay_notice = 2s }\n' + to(hop.port))
        with server.talk() as t:
            t.ask("EHLO client.test")
            t.ask("MAIL FROM:<d@example.com> ENVID=e-1")
            for recipient in ("a@e.test> NOTIFY=DELAY", "b@e.test> NOTIFY=NEVER", "c@e.test> NOTIFY=FAILURE", "d@e.test>"):
                assert t.ask("RCPT TO:<" + recipient).startswith("250")
            t.ask("DATA")
            t.send("Subject: waits\r\n\r\nx\r\n.\r\n")
            queued_id(t.reply())
            t.mail("e@e.test", sender="")
        notice = returned(server, "d")
        fields = status_of(notice)
        assert set(fields) == {"a@e.test", "d@e.test"}
        for field in fields.values():
            assert field["Action"] == "delayed" and field["Status"].startswith("4.")
            assert "busy, ask later" in field["Diagnostic-Code"] and field["Will-Retry-Until"]
        assert "e-1" in notice.as_string() and "Subject: waits" in notice.as_string()
        time.sleep(3)
        assert len(server.mailbox("d", "example.com").files()) == 1
        well[0] = True
        wait_for(lambda: sum(len(r) for _, r, _ in hop.messages) == 5, 15, "all arrived")
        queue_is_empty(server)
        assert len(server.mailbox("d", "example.com").files()) == 1
    finally:
        hop.close()


def test_success_is_told_where_the_next_hop_cannot(make_server):
    with public_directory() as directory, sink(directory / "with") as able, sink(directory / "without", "-N") as unable:
        server = make_server(LOCAL + to(able, "able.test") + to(unable, "unable.test"))
        with server.talk() as t:
            t.ask("EHLO client.test")
            t.ask("MAIL FROM:<s@example.com> RET=HDRS ENVID=e-2")
            for recipient in ("a@able.test", "b@unable.test", "c@example.com"):
                t.ask(f"RCPT TO:<{recipient}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;was-{recipient}")
            t.ask("DATA")
            t.send("Subject: tell me\r\n\r\nx\r\n.\r\n")
            queued_id(t.reply())
            t.mail("d@unable.test", sender="s@example.com")  # did not ask
        box = server.mailbox("s", "example.com")
        box.wait(2)
        wait_for(lambda: len(taken(directory / "with")) == 1 and len(taken(directory / "without")) == 2, 10, "arrivals")
        queue_is_empty(server)
        fields = {}
        for message in box.messages():
            fields |= status_of(parsed(message))
        assert {a: f["Action"] for a, f in fields.items()} == {"b@unable.test": "relayed", "c@example.com": "delivered"}
        assert fields["b@unable.test"]["Original-Recipient"].replace(" ", "") == "rfc822;was-b@unable.test"
        passed, = taken(directory / "with")
        assert b"NOTIFY=SUCCESS,FAILURE" in passed and b"ORCPT=rfc822;was-a@able.test" in passed, passed[:600]


@pytest.mark.parametrize("demand", ["required", "verify"])
def test_no_cleartext_where_policy_forbids_it(make_server, demand):
    hop = Hop()
    try:
        server = make_server(LOCAL + to(hop.port, more=f", tls = {demand}"))
        with server.talk() as t:
            t.mail("x@e.test", sender="s@example.com")
        assert "TLS" in server.wait_log("unreachable", "status=4.7.4")
        assert not hop.commands("MAIL") and len(server.queue()) == 1
    finally:
        hop.close()


# ---- the queue ------------------------------------------------------------------------------------

def test_a_letter_overtakes_a_bulk_run(make_server):
    hop = Hop(delay={"DATA": 0.05})
    try:
        server = make_server(to(hop.port, more=", connections = 2"))
        with server.talk() as t:
            for i in range(500):
                t.mail(f"r{i}@e.test", sender=f"news-{i}=x@bulk.example.org")
            t.mail("me@e.test", sender="friend@example.org")
            before = len(hop.messages)
            assert before < 450, "the hop is slower than that"
            wait_for(lambda: any(r == ["me@e.test"] for _, r, _ in list(hop.messages)), 10, "the letter")
        place = next(i for i, (_, r, _) in enumerate(hop.messages) if r == ["me@e.test"])
        assert place - before <= 20, (before, place)
    finally:
        hop.close()


def test_killed_while_relaying(make_server):
    """All arrives; twice only what was on its way, or answered so lately that its outcome was not on disk yet."""
    hop = Hop(delay={"DATA": 0.1}, extensions=("PIPELINING", "8BITMIME", "SIZE"))
    try:
        server = make_server(to(hop.port, more=", connections = 5"), start=False).start()
        kills, count = [], 200
        with server.talk() as t:
            for i in range(count):
                t.mail(f"r{i}@e.test")
        for share in (0.3, 0.6):
            wait_for(lambda: len(hop.messages) >= count * share, 30, "some arrived")
            server.kill()
            kills.append(time.monotonic())
            server.start()

        def arrivals():
            times = {}
            for (_, (recipient,), _), at in list(zip(hop.messages, hop.times)):
                times.setdefault(recipient, []).append(at)
            return times
        wait_for(lambda: len(arrivals()) == count, 40, "all arrived")
        queue_is_empty(server)
        twice = {r: at for r, at in arrivals().items() if len(at) > 1}
        for recipient, at in twice.items():
            assert len(at) <= 1 + len(kills), (recipient, at)
            assert any(0 <= k - at[0] < 1 or 0 <= at[0] - k < 0.5 for k in kills), (recipient, at, kills)
        assert len(twice) < 60, len(twice)
    finally:
        hop.close()


@pytest.mark.parametrize("way", ["by itself", "by the operator"])
def test_a_destination_recovers(make_server, way):
    """Its mail is woken all at once."""
    port, count = free_port(), 300
    retry = '"3s"' if way == "by itself" else '"1h"'
    server = make_server(f'queue {{ retry = [{retry}] }}\n' + to(port, "dead.test"))
    subprocess.run([need("smtp-source"), "-d", "-s", "10", "-m", str(count), "-f", "a@example.org", "-t", "x@dead.test",
                    f"127.0.0.1:{server.port}"], check=True, capture_output=True, timeout=30)
    server.wait_log("unreachable", "refused")
    with public_directory() as directory, sink(directory, port=port):
        if way == "by the operator":
            time.sleep(1)
            assert not taken(directory)
            server.run("queue", "retry", "--domain", "dead.test", check=True)
        wait_for(lambda: len(taken(directory)) >= count, 15, "all arrived")
        queue_is_empty(server)
        assert len(taken(directory)) == count


def test_a_new_route_is_taken_by_what_waits(make_server):
    """Routes are found at each attempt, never frozen into a message."""
    server = make_server(to(free_port(), "moves.test"))
    with server.talk() as t:
        for i in range(20):
            t.mail("x@moves.test")
    server.wait_log("unreachable", "refused")
    with public_directory() as directory, sink(directory) as port:
        server.configure(to(port, "moves.test"))
        server.reload()
        wait_for(lambda: len(taken(directory)) == 20, 15, "all arrived")
        queue_is_empty(server)


def test_deleted_while_it_is_under_way(make_server):
    """Deleting wins over an attempt in flight, whatever comes of that."""
    hop = Hop(delay={"DATA": 1}, replies={"END": "451 4.3.0 try again"})
    try:
        server = make_server(FAST + to(hop.port))
        with server.talk() as t:
            id = queued_id(t.mail("x@e.test"))
        wait_for(lambda: hop.commands("DATA"), 10, "it is under way")
        server.run("queue", "delete", id, check=True)
        assert server.queue() == []
        time.sleep(3)
        assert len(hop.commands("MAIL")) == 1 and server.queue() == []
        assert "deleted" in server.run("trace", id, check=True).stdout.decode()
    finally:
        hop.close()


def test_two_servers_in_a_circle(make_server):
    """Each believes the other to be the next hop: 100 Received fields end it, and the sender learns."""
    here, there = free_port(), free_port()
    one = make_server(LOCAL + to(there), name="one", port=here)
    make_server(to(here), name="two", port=there, hostname="two.example.net")
    with one.talk() as t:
        t.mail("x@round.test", sender="s@example.com")
    bounce = returned(one, "s", timeout=30)
    field, = status_of(bounce).values()
    assert field["Status"] == "5.4.6", field
    time.sleep(0.5)
    assert len(one.mailbox("s", "example.com").files()) == 1


def test_a_peer_out_of_its_mind(make_server):
    """Any step may be refused, put off, answered with rubbish or by closing: still each message ends once."""
    chance, lock = random.Random(7), threading.Lock()
    moods = ["close", "421 4.3.2 leaving", "451 4.7.1 later", "550 5.7.1 never", "rubbish", "999 what", "354 go on",
             "220-a\r\n220-b\r\n451-c"]

    def replies(hop, verb, line, state):
        with lock:
            return chance.choice(moods) if chance.random() < 0.04 else None
    hop = Hop(replies=replies, extensions=("PIPELINING", "8BITMIME", "SIZE", "CHUNKING"))
    strict = Hop(replies=replies, extensions=("8BITMIME",))
    try:
        server = make_server(LOCAL + 'queue { retry = ["1s"], return_breaker = 0 }\n' + to(hop.port, "a.test", ", timeout = 2s")
                             + to(strict.port, "b.test", ", timeout = 2s"))
        count = 300
        ids = {}
        with server.talk() as t:
            for i in range(count):
                recipients = [f"r{i}@a.test", f"s{i}@a.test"] if i % 2 else [f"r{i}@b.test"]
                ids |= dict.fromkeys(recipients, queued_id(t.mail(recipients, sender="s@example.com")))
        queue_is_empty(server, timeout=60)
        failed = {}
        for message in server.mailbox("s", "example.com").messages():
            for address in status_of(parsed(message)):
                failed[address] = failed.get(address, 0) + 1
        arrived = {}
        for _, recipients, _ in hop.messages + strict.messages:
            for address in recipients:
                arrived[address] = arrived.get(address, 0) + 1
        log = server.log().splitlines()
        for address, id in ids.items():
            ends = [l for l in log if f"id={id}" in l and f"to={address}" in l]
            doubts = sum("doubtful=yes" in l for l in ends)
            assert failed.get(address, 0) <= 1 and (address in failed or address in arrived), (address, ends)
            assert arrived.get(address, 0) <= 1 + doubts, (address, ends)
            assert sum("event=delivered" in l or "event=failed" in l for l in ends) == 1, (address, ends)
        assert failed and len(arrived) > count
    finally:
        hop.close()
        strict.close()
