"""Mail comes in over SMTP and lies in the mailbox."""
import re

from harness import queued_id, wait_for


def test_by_hand(server):
    """The conversation that a person types."""
    with server.talk() as t:
        assert t.banner.startswith("220 mail.example.com ESMTP")
        assert t.ask("HELO client.example.org") == "250 mail.example.com"
        assert t.ask("MAIL FROM: sender@example.org") == "250 2.1.0 Ok"
        assert t.ask("RCPT TO: alice@example.com") == "250 2.1.5 Ok"
        assert t.ask("rcpt to:<bob@EXAMPLE.com>") == "250 2.1.5 Ok"
        assert t.ask("DATA") == "354 End data with <CR><LF>.<CR><LF>"
        t.send("From: sender@example.org\r\nSubject: hello\r\n\r\nHi there.\r\n..dot\r\n.\r\n")
        id = queued_id(t.reply())
        (message,) = server.mailbox("alice", "example.com").wait()
        assert t.ask("QUIT") == "221 2.0.0 Bye"
    lines = message.split(b"\n")
    assert lines[0] == b"Return-Path: <sender@example.org>"
    assert lines[1] == b"Delivered-To: alice@example.com"
    assert re.match(rb"Received: from client.example.org", lines[2])
    assert b"with SMTP id " + id.encode() in message
    assert message.endswith(b"From: sender@example.org\nSubject: hello\n\nHi there.\n.dot\n")
    assert b"\r" not in message
    (other,) = server.mailbox("bob", "example.com").wait()
    assert other.split(b"\n")[1] == b"Delivered-To: bob@EXAMPLE.com"


def test_delivered_before_the_client_leaves_and_logged(server):
    with server.talk() as t:
        id = queued_id(t.mail("alice@example.com"))
        server.mailbox("alice", "example.com").wait()
        server.wait_log(id, "accepted")
        server.wait_log(id, "delivered")


def test_who_may(server, make_server):
    with server.talk() as t:
        t.ask("EHLO x")
        t.ask("MAIL FROM:<a@example.org>")
        assert t.ask("RCPT TO:<nobody@example.com>").startswith("550 5.1.1 <nobody@example.com>: ")
        assert t.ask("RCPT TO:<postmaster>") == "250 2.1.5 Ok"
    closed = make_server('relay_from = ["192.0.2.1"]\ndomain "example.com" { users = ["alice"] }\n', name="closed")
    with closed.talk() as t:
        t.ask("EHLO x")
        t.ask("MAIL FROM:<a@example.org>")
        assert t.ask("RCPT TO:<someone@elsewhere.example>").startswith("550 5.7.1 ")
        assert t.ask("RCPT TO:<alice@example.com>") == "250 2.1.5 Ok"
    closed.wait_log("refused", "someone@elsewhere.example")


def test_trace_finds_a_message_by_the_alias_it_was_sent_to(make_server):
    server = make_server("""
domain "example.com" { users = ["alice", "bob"], aliases { sales = ["alice", "bob"] } }
""")
    with server.talk() as t:
        id = queued_id(t.mail(["Sales@example.com"]))
    server.mailbox("alice", "example.com").wait(1)
    text = server.run("trace", "sales@example.com", check=True).stdout.decode()
    assert id in text and "stood for alice@example.com, bob@example.com" in text, text


def test_aliases_separator_and_catch_all(make_server):
    server = make_server('''
domain "example.com" {
  users = ["alice", "bob"]
  aliases { sales = ["alice", "bob@example.com"], "*" = "bob" }
}''')
    with server.talk() as t:
        t.mail(["sales@example.com"])
        t.mail(["alice+lists@example.com"])
        t.mail(["whoever@example.com"])
    assert len(server.mailbox("alice", "example.com").wait(2)) == 2
    assert len(server.mailbox("bob", "example.com").wait(2)) == 2


def test_path_tricks_go_nowhere(make_server):
    server = make_server('domain "example.com" { users = "*" }\n')
    tricks = ['"../../../../tmp/evil"', '".."', '"a/b"', '".hidden"', '"a\\\\b"', "a%2Fb"]
    with server.talk() as t:
        for trick in tricks:
            t.mail([f"{trick}@example.com"])
    base = server.state / "mail" / "example.com"
    wait_for(lambda: len(list(base.glob("*/new/*"))) == len(tricks), 10, "all delivered")
    names = {p.name for p in base.iterdir()}
    assert names == {"%2E.%2F..%2F..%2F..%2Ftmp%2Fevil", "%2E.", "a%2Fb", "%2Ehidden", "a\\b", "a%252fb"}, names


def test_content_passes_unchanged(server):
    """Every octet but NUL, bare CR and bare LF; long lines; dots; no final line end problems."""
    body = b"".join(bytes([i]) for i in range(1, 256) if i not in (10, 13)) + b"\r\n"
    content = b"Subject: x\r\n\r\n" + body + b".\r\n..\r\n...dots\r\n" + b"x" * 5000 + b"\r\n\r\n\r\n"
    with server.talk() as t:
        queued_id(t.mail("alice@example.com", content))
    (message,) = server.mailbox("alice", "example.com").wait()
    assert message.endswith(content.replace(b"\r\n", b"\n")), message


def test_several_messages_in_one_session_and_pipelined(server):
    one = ("MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.com>\r\nRCPT TO:<nobody@example.com>\r\n"
           "DATA\r\n")
    with server.talk() as t:
        t.ask("EHLO x")
        for i in range(20):
            t.send(one)
            assert [t.reply()[:3] for _ in range(4)] == ["250", "250", "550", "354"]
            t.send(f"Subject: {i}\r\n\r\n{i}\r\n.\r\n" + ("RSET\r\nNOOP\r\n"))
            assert [t.reply()[:3] for _ in range(3)] == ["250", "250", "250"]
    messages = server.mailbox("alice", "example.com").wait(20)
    assert sorted(int(m.strip().rsplit(b"\n", 1)[1]) for m in messages) == list(range(20))


def test_bdat(server):
    with server.talk() as t:
        t.ask("EHLO x")
        t.send("MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.com>\r\nBDAT 14\r\nSubject: b\r\n\r\n"
               "BDAT 6 LAST\r\n.hi\r\n\n")
        assert [t.reply()[:3] for _ in range(3)] == ["250"] * 3
        assert t.reply().startswith("550 5.6.11 ")  # the last octet is a bare LF
    with server.talk() as t:
        t.ask("EHLO x")
        t.send("MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.com>\r\nBDAT 14\r\nSubject: b\r\n\r\n"
               "BDAT 5 LAST\r\n.hi\r\n")
        assert [t.reply()[:3] for _ in range(4)] == ["250"] * 4
    assert server.mailbox("alice", "example.com").wait()[-1].endswith(b"Subject: b\n\n.hi\n")


def test_a_loop_is_refused(server):
    received = "Received: from a by b; Sun, 22 Nov 2026 05:12:47 +0000\r\n"
    with server.talk() as t:
        assert queued_id(t.mail("alice@example.com", received * 99 + "\r\nbody\r\n"))
        assert t.mail("alice@example.com", received * 100 + "\r\nbody\r\n").startswith("554 5.4.6 ")


def test_size_limit(make_server):
    server = make_server('limits { message = 100k }\ndomain "example.com" { users = ["alice"] }\n')
    with server.talk() as t:
        assert "250-SIZE 102400" in t.ask("EHLO x").split("\n")
        assert t.ask("MAIL FROM:<a@b.example> SIZE=200000").startswith("552 5.3.4 ")
        assert t.mail("alice@example.com", b"x" * 70 + b"\r\n" + b"y" * 103000).startswith("552 5.3.4 ")
        queued_id(t.mail("alice@example.com", b"Subject: ok\r\n\r\n" + b"y" * 90000))


def test_a_large_message_costs_chunks_not_memory(server):
    line = b"0123456789" * 7 + b"\r\n"
    content = b"Subject: large\r\n\r\n" + line * (49 * 1024 * 1024 // len(line))
    with server.talk(timeout=60) as t:
        t.mail("alice@example.com")
        before = server.rss_kib()
        queued_id(t.mail("alice@example.com", content))
        grown = server.rss_kib() - before
    messages = server.mailbox("alice", "example.com").wait(2, timeout=30)
    assert any(m.endswith(content.replace(b"\r\n", b"\n")) for m in messages)
    assert grown < 16 * 1024, grown
