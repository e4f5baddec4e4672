"""Submission: in whose name, what is put right in the header, and mail for later."""
import datetime
import email
import email.policy
from email.header import decode_header, make_header
import re
import smtplib
import subprocess

import pytest

from harness import free_port, need, queued_id, wait_for
from peers import Hop
from test_login import PASSWORD, plain, user
from test_tls import SecureTalk, trusting

CONFIG = """relay_from = []
domain "example.com" {
  users = ["alice", "bob"]
  aliases { postmaster = alice, team = [alice, bob] }
}
senders { "alice@example.com" = ["news@lists.example"] }
queue { retry = ["1s"] }
"""


@pytest.fixture
def server(make_server, tmp_path):
    server = make_server("", start=False)
    server.submission, server.hop = free_port(), Hop()
    server.password = tmp_path / "password"
    server.password.write_text(PASSWORD + "\n")
    server.configure(CONFIG + f'listen submission {{ bind = ["127.0.0.1:{server.submission}"], role = submission }}\n'
                     f'route "*" {{ to = "smtp:127.0.0.1:{server.hop.port}", allow_loopback = true }}\n')
    for name in ("alice", "bob"):
        user(server, "add", f"{name}@example.com")
    server.start()
    yield server
    server.hop.close()


def login(server, name="alice@example.com"):
    t = SecureTalk(server.submission)
    t.expect("EHLO c", "250")
    t.expect(f"AUTH PLAIN {plain(name)}", "235 2.7.0")
    return t


def arrived(server, count=1):
    """Messages as Bob gets them, read by Python; trace fields are above the submitted header."""
    return [email.message_from_bytes(m, policy=email.policy.default)
            for m in server.mailbox("bob", "example.com").wait(count)]


def submit(t, header, body="hello\r\n", sender="alice@example.com"):
    return t.mail("bob@example.com", f"{header}\r\n{body}", sender=sender)


# ---- in whose name -------------------------------------------------------------------------------

def test_names_in_the_envelope(server):
    with login(server) as t:
        for other in ("bob@example.com", "team@example.com", "alice@example.org", "nobody@example.com"):
            reply = t.ask(f"MAIL FROM:<{other}>")
            assert reply == (f"553 5.7.1 <{other}>: Sender address rejected: "
                             "it is no address of your account alice@example.com")
        for own in ("ALICE@example.com", "alice+news@example.com", "postmaster@example.com", "news@lists.example", ""):
            t.expect(f"MAIL FROM:<{own}>", "250")
            t.expect("RSET", "250")
    server.wait_log("event=refused", "address=bob@example.com", "code=553")


def test_names_in_the_header(server):
    with login(server) as t:
        for header in ("From: bob@example.com\r\n", "From: Alice <bob@example.com>\r\n", "From: team@example.com\r\n",
                       "From: bob@example.com <alice@example.com>\r\n", "from :\r\n bob@example.com\r\n",
                       "From: alice@example.com, bob@example.com\r\n",
                       "From: alice@example.com\r\nSender: bob@example.com\r\n",
                       "Subject: x\r\n" * 5000 + "From: bob@example.com\r\n"):
            assert re.fullmatch(r"550 5\.7\.1 Error: the header says (From|Sender): <\w+@example\.com>, "
                                r"which is no address of your account alice@example\.com", submit(t, header)), header
        for header in ("From: alice@example.com\r\nFrom: alice@example.com\r\n", "From: <alice@example.com\r\n", "From:\r\n"):
            assert submit(t, header).startswith("550 5.6.0 "), header
        for header in ('From: "bob@example.com" <Alice+x@example.com>\r\nReply-To: bob@example.com\r\n',
                       "From: news@lists.example\r\nSender: postmaster@example.com\r\n"):
            queued_id(submit(t, header, body="From: bob@example.com\r\n"))
    arrived(server, 2)
    line = server.wait_log("event=refused", "no address of your account")
    assert re.search(r" id=\w+ ", line) and "code=550" in line
    assert len([l for l in server.log().splitlines() if "event=refused" in l]) == 11
    with server.talk() as t:  # others say what they like, as ever
        queued_id(t.mail("bob@example.com", "From: alice@example.com\r\nBcc: x\r\n\r\n", sender="x@far.test"))
    assert any(b"\nBcc: x\n" in m for m in server.mailbox("bob", "example.com").wait(3))


# ---- the header ----------------------------------------------------------------------------------

def test_what_is_missing_is_added(server):
    with login(server) as t:
        id = queued_id(submit(t, "Subject: x\r\nContent-Type: text/plain\r\n"))
    message, = arrived(server)
    assert message["From"] == "alice@example.com" and message["Message-ID"] == f"<{id}@mail.example.com>"
    age = datetime.datetime.now(datetime.timezone.utc) - message["Date"].datetime
    assert abs(age) < datetime.timedelta(minutes=5) and message["MIME-Version"] == "1.0"
    assert f"message-id=<{id}@mail.example.com>" in server.wait_log("event=accepted")


def test_what_is_there_stays(server):
    body = "".join(f"line {i}\r\n" for i in range(40000)) + ".\r\n\r\n..\r\nBcc: body\r\n"
    header = ("From: Alice <alice@example.com>\r\nX-Long: a\r\n\tb\r\n  c\r\nDATE: whenever\r\nMessage-Id: <mine@x>\r\n"
              "subject:no blank\r\n")
    with login(server) as t:
        queued_id(submit(t, header + "Bcc: secret@example.org,\r\n\tmore@example.org\r\n", body))
        t.expect("MAIL FROM:<alice@example.com>", "250")  # and in chunks, cut anywhere
        t.expect("RCPT TO:<bob@example.com>", "250")
        whole = (header + "\r\n" + body).encode()
        for at in range(0, len(whole), 70001):
            piece = whole[at:at + 70001]
            t.send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if at + 70001 >= len(whole) else b"") + piece)
            reply = t.reply()
        queued_id(reply)
    for message in server.mailbox("bob", "example.com").wait(2):
        assert message.endswith((header + "\r\n" + body).replace("\r\n", "\n").encode())
        assert b"secret" not in message


def test_header_octets_that_are_not_ascii(server):
    names = ["J\u00f6rg M\u00fcller", "caf\u00e9 au lait " * 20, "\u65e5\u672c\u8a9e " * 30]
    with login(server) as t:
        for name in names:
            queued_id(submit(t, f"From: {name.strip()} <alice@example.com>\r\nSubject: the {name}\r\n", "b\u00f6dy\r\n"))
        assert submit(t, "To: j\u00f6rg@far.test\r\n") == (
            "550 5.6.7 Error: the To field of the header is not ASCII; that needs SMTPUTF8, or encoding (RFC 2047)")
        t.expect("MAIL FROM:<alice@example.com> SMTPUTF8", "250")
        t.expect("RCPT TO:<bob@example.com>", "250")
        t.expect("DATA", "354")
        t.send("To: j\u00f6rg@far.test\r\n\r\n.\r\n")
        queued_id(t.reply())
    server.mailbox("bob", "example.com").wait(4)
    ascii_only = [m for m in server.mailbox("bob", "example.com").messages() if b"\nSubject:" in m]
    assert all(m.split(b"\n\n")[0].isascii() and "b\u00f6dy".encode() in m for m in ascii_only)
    read = [email.message_from_bytes(m, policy=email.policy.default) for m in ascii_only]
    assert {re.sub(r"\s+", " ", str(m["Subject"])).strip() for m in read} == {f"the {n.strip()}" for n in names}
    # The old reader: the new one shows the blanks between two encoded words of a name.
    old = [str(make_header(decode_header(email.message_from_bytes(m)["From"]))) for m in ascii_only]
    assert set(old) == {f"{n.strip()} <alice@example.com>" for n in names}


def test_a_header_without_end(server):
    with login(server) as t:
        t.expect("MAIL FROM:<alice@example.com>", "250")
        t.expect("RCPT TO:<bob@example.com>", "250")
        t.expect("DATA", "354")
        t.send(b"X: y\r\n" * 100000 + b".\r\n")
        assert t.reply().startswith("552 5.3.4 ")
        queued_id(submit(t, "Subject: next\r\n"))


# ---- for later -----------------------------------------------------------------------------------

def held(server):
    return [(r["state"], r.get("reason", "")) for m in server.queue() for r in m["recipients"]]


def test_future_release(server):
    with login(server) as t:
        offered = re.search(r"FUTURERELEASE (\d+) (\S+)$", t.expect("EHLO c", "250"), re.M)
        latest = datetime.datetime.fromisoformat(offered[2].replace("Z", "+00:00"))
        ahead = latest - datetime.datetime.now(datetime.timezone.utc)
        assert offered[1] == str(30 * 86400) and abs(ahead - datetime.timedelta(days=30)) < datetime.timedelta(minutes=5)
        for wrong in ("HOLDFOR=2592001", "HOLDUNTIL=2099-01-01T00:00:00Z", "HOLDFOR=-1", "HOLDFOR=5 HOLDUNTIL=2026-01-01T00:00:00Z"):
            assert t.ask(f"MAIL FROM:<alice@example.com> {wrong}").startswith("501"), wrong
        ids = []
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=5)
        for when in ("HOLDFOR=86400", f"HOLDUNTIL={until:%Y-%m-%dT%H:%M:%SZ}", "HOLDFOR=6"):
            t.expect(f"MAIL FROM:<alice@example.com> {when}", "250")
            t.expect("RCPT TO:<bob@example.com>", "250")
            t.expect("DATA", "354")
            t.send(f"Subject: {when}\r\n\r\n.\r\n")
            ids.append(queued_id(t.reply()))
    assert held(server) == [("due", "held back until then, as its sender wishes")] * 3
    due = {m["id"]: m["recipients"][0]["next_attempt"] for m in server.queue()}
    server.kill()  # the time is in the spool, not in memory
    server.start()
    server.run("queue", "delete", ids[0], check=True)
    now_due = {m["id"]: m["recipients"][0]["next_attempt"] for m in server.queue()}[ids[1]]
    before, after = (datetime.datetime.fromisoformat(d.replace("Z", "+00:00")) for d in (due[ids[1]], now_due))
    assert abs(before - after) <= datetime.timedelta(seconds=1)
    message, = arrived(server)
    assert message["Subject"] == "HOLDFOR=6"
    wait_for(lambda: [m["id"] for m in server.queue()] == [ids[1]], 10, "two are gone, one is there")
    server.run("queue", "retry", ids[1], check=True)  # the operator need not wait
    arrived(server, 2)


def test_require_tls_is_offered(server):
    with login(server) as t:
        assert "250-REQUIRETLS\n" in t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<alice@example.com> REQUIRETLS", "250")
        t.expect("RCPT TO:<far@far.test>", "250")
        t.expect("DATA", "354")
        t.send("\r\n.\r\n")
        queued_id(t.reply())
    wait_for(lambda: any("TLS" in reason or "REQUIRETLS" in reason for _, reason in held(server)) or
             "REQUIRETLS" in server.log() or "event=failed" in server.log(), 15, "a hop in clear does not get it")
    assert server.hop.messages == []


# ---- every refusal has its line --------------------------------------------------------------------

def test_refusals_of_the_protocol_are_logged(server):
    def line(*words):
        return server.wait_log("event=refused", "client=127.0.0.1", "helo=c", *words)
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<alice@example.com>", "530")
        line("code=530", "status=5.7.0", 'command="MAIL FROM:<alice@example.com>"', 'text="Authentication required"')
        t.expect(f"AUTH NTLM {plain()}", "504")
        line("command=AUTH", "code=504")
        t.expect(f"AUTH PLAIN {plain()}", "235")
        t.expect("MAIL FROM:<alice@example.com> SIZE=99999999999", "552")
        line("code=552", "status=5.3.4")
        t.expect("RCPT TO:<bob@example.com>", "503")
        line("code=503", 'command="RCPT TO:<bob@example.com>"')
        t.expect("MAIL FROM:<alice@example.com>", "250")
        t.expect("MAIL FROM:<alice@example.com>", "503")
        line("from=alice@example.com", "code=503", "nested MAIL")
        t.expect("RCPT TO:<a b@example.com>", "501")
        t.expect("NONSENSE", "500")
        assert len([l for l in server.log().splitlines() if "event=refused" in l]) == 5
        t.expect("QUIT", "221")
    assert "count=6" in server.wait_log("event=bad-commands", "helo=c")
    with SecureTalk(server.submission) as t:
        t.expect("EHLO c", "250")
        t.expect("QUIT", "221")
    assert plain() not in server.log() and server.log().count("event=bad-commands") == 1


def test_too_many_recipients_are_logged(make_server):
    server = make_server('domain "example.com" { users = "*" }\nlimits { recipients = 100 }\n')
    with server.talk() as t:
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<x@far.test>", "250")
        t.send("".join(f"RCPT TO:<r{i}@example.com>\r\n" for i in range(103)))
        assert [t.reply()[:3] for _ in range(103)] == ["250"] * 100 + ["452"] * 3
        server.wait_log("event=refused", "code=452", "status=4.5.3", "from=x@far.test", 'command="RCPT TO:<r102@example.com>"')
        assert len([l for l in server.log().splitlines() if "event=refused" in l]) == 3


# ---- programs ------------------------------------------------------------------------------------

def test_python_and_curl_and_swaks(server, tmp_path):
    server.password.write_text("plain ascii")  # smtplib can say no other
    user(server, "passwd", "alice@example.com")
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=20) as s:
        s.starttls(context=trusting())
        s.login("alice@example.com", "plain ascii")
        message = email.message.EmailMessage()
        message["Subject"], message["From"], message["To"] = "by Python", "alice@example.com", "bob@example.com"
        message["Bcc"] = "secret@example.org"
        message.set_content("hello")
        s.sendmail("alice@example.com", ["bob@example.com"], message.as_bytes(policy=email.policy.SMTP))
        with pytest.raises(smtplib.SMTPDataError) as refused:
            s.sendmail("alice@example.com", ["bob@example.com"], b"From: bob@example.com\r\n\r\n")
        assert refused.value.smtp_code == 550
    file = tmp_path / "message"
    file.write_bytes(b"Subject: by curl\r\n\r\nhello\r\n")
    for sender, code in (("alice@example.com", 0), ("bob@example.com", 55)):
        done = subprocess.run(
            [need("curl"), "-s", "--ssl-reqd", "--insecure", "--url", f"smtp://127.0.0.1:{server.submission}",
             "--user", "alice@example.com:plain ascii", "--login-options", "AUTH=PLAIN", "--mail-from", sender,
             "--mail-rcpt", "bob@example.com", "--upload-file", str(file)], capture_output=True, timeout=30)
        assert done.returncode == code, done
    done = subprocess.run(
        [need("swaks"), "-s", "127.0.0.1", "-p", str(server.submission), "-tls", "-a", "PLAIN", "-au", "alice@example.com",
         "-ap", "plain ascii", "-f", "alice@example.com", "-t", "bob@example.com", "--h-From", "Bob <bob@example.com>"],
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 26 and "550 5.7.1 Error: the header says From: <bob@example.com>" in done.stdout, done
    assert {m["Subject"] for m in arrived(server, 2)} == {"by Python", "by curl"}
    assert all("Bcc" not in m for m in arrived(server, 2))
