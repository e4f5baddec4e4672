"""Other people's clients; what arrived is compared octet for octet."""
import base64
import binascii
import email
import email.policy
import smtplib
import subprocess
from email.message import EmailMessage

from harness import need, run
from peers import dns


def only(server, user="alice"):
    (message,) = server.mailbox(user, "example.com").wait()
    return message


def test_swaks(server, tmp_path):
    attachment = tmp_path / "blob.bin"
    attachment.write_bytes(bytes(range(256)) * 40)
    subprocess.run([need("swaks"), "--server", "127.0.0.1", "--port", str(server.port), "--from", "me@example.org",
                    "--to", "alice@example.com", "--body", "hello swaks", "--attach", f"@{attachment}"],
                   check=True, capture_output=True)
    parsed = email.message_from_bytes(only(server), policy=email.policy.default)
    (part,) = list(parsed.iter_attachments())
    assert part.get_content() == attachment.read_bytes()


def test_curl(server, tmp_path):
    file = tmp_path / "mail"
    content = b"From: me@example.org\r\nSubject: curl\r\n\r\n.leading dot\r\n8-bit: \xc3\xa9\r\n"
    file.write_bytes(content)
    subprocess.run([need("curl"), "-sS", f"smtp://127.0.0.1:{server.port}/client.test", "--mail-from", "me@example.org",
                    "--mail-rcpt", "alice@example.com", "--mail-rcpt", "bob@example.com", "--upload-file", str(file)],
                   check=True, capture_output=True)
    for user in ("alice", "bob"):
        assert only(server, user).endswith(content.replace(b"\r\n", b"\n"))


def test_smtplib_with_attachments(server):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "me@example.org", "alice@example.com", "Grüße"
    message.set_content("Text mit Umlauten: äöü\n")
    message.add_attachment(b"\x00\x01\x02" * 1000, maintype="application", subtype="octet-stream", filename="ä.bin")
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.ehlo("client.test")
        assert client.has_extn("size") and client.has_extn("pipelining") and client.has_extn("8bitmime")
        assert client.send_message(message) == {}
        code, text = client.vrfy("alice@example.com")
        assert code == 252, text
    parsed = email.message_from_bytes(only(server), policy=email.policy.default)
    assert parsed["Subject"] == "Grüße"
    (part,) = list(parsed.iter_attachments())
    assert part.get_content() == b"\x00\x01\x02" * 1000 and part.get_filename() == "ä.bin"


def test_uuencode_and_binhex_pass_unchanged(server):
    data = bytes(range(256)) * 20
    uu = b"begin 644 data.bin\n" + b"".join(
        binascii.b2a_uu(data[i:i + 45]) for i in range(0, len(data), 45)) + b"`\nend\n"
    alphabet = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    hqx = base64.b64encode(data).translate(bytes.maketrans(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", alphabet))
    binhex = b"(This file must be converted with BinHex 4.0)\n:" + b"\n".join(
        hqx[i:i + 64] for i in range(0, len(hqx), 64)) + b":\n"
    with server.talk() as t:
        for body in (uu, binhex):
            t.mail("alice@example.com", b"Subject: x\r\n\r\n" + body.replace(b"\n", b"\r\n"))
    messages = server.mailbox("alice", "example.com").wait(2)
    assert {m.split(b"\n\n", 1)[1] for m in messages} == {uu, binhex}


def test_msmtp(server):
    content = b"Subject: msmtp\n\nhello\n.\n..\n"
    subprocess.run([need("msmtp"), "--host=127.0.0.1", f"--port={server.port}", "--from=me@example.org", "--tls=off",
                    "--domain=client.test", "alice@example.com"], input=content, check=True, capture_output=True)
    assert only(server).endswith(b"\n\nhello\n.\n..\n")


def test_smtp_source(server):
    subprocess.run([need("smtp-source"), "-s", "20", "-m", "300", "-l", "5000", "-f", "me@example.org",
                    "-t", "alice@example.com", f"127.0.0.1:{server.port}"], check=True, capture_output=True, timeout=60)
    messages = server.mailbox("alice", "example.com").wait(300, timeout=30)
    assert len(messages) == 300
    assert len({len(m.split(b"\n\n", 1)[1]) for m in messages}) == 1


def test_rockdove_send(server, tmp_path):
    result = run("send", "--server", f"127.0.0.1:{server.port}", "--from", "me@example.org", "--to", "alice@example.com",
                 "--subject", "Grüße", "--body", "It works.", "--trace")
    assert result.returncode == 0, result.stderr
    assert b"> MAIL FROM:<me@example.org>" in result.stderr and b"queued as" in result.stderr
    parsed = email.message_from_bytes(only(server), policy=email.policy.default)
    assert parsed["Subject"] == "Grüße" and parsed["To"] == "alice@example.com"
    assert parsed["Date"] and parsed["Message-ID"]
    assert parsed.get_content().strip() == "It works."


def test_rockdove_send_attachments(server, tmp_path):
    picture = tmp_path / "büld.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 500)
    text = tmp_path / "notes.txt"
    text.write_text("Ünïcode\n" * 100)
    result = run("send", "--server", f"127.0.0.1:{server.port}", "--from", "me@example.org", "--body", "see below",
                 "--attach", str(picture), "--attach", str(text), "alice@example.com", "nobody@example.com")
    assert result.returncode != 0  # one of the two recipients does not exist
    assert b"alice@example.com" in result.stdout + result.stderr
    parsed = email.message_from_bytes(only(server), policy=email.policy.default)
    parts = {p.get_filename(): p for p in parsed.iter_attachments()}
    assert parts["büld.png"].get_content() == picture.read_bytes()
    assert parts["büld.png"].get_content_type() == "image/png"
    assert parts["notes.txt"].get_payload(decode=True).replace(b"\r\n", b"\n") == text.read_bytes()


def test_rockdove_send_straight_to_the_exchangers(server, tmp_path):
    port = server.port
    zones = {"example.com": "@ MX 10 mx\nmx A 127.0.0.1\n", "null.test": "@ MX 0 .\n"}
    with dns(tmp_path / "dns", zones) as dns_port:
        conf = tmp_path / "send.conf"
        conf.write_text(f'state = "{tmp_path}/state"\ndns {{ servers = ["127.0.0.1:{dns_port}"], validate = off }}\n'
                        f'route "*" {{ to = mx, port = {port}, allow_loopback = true }}\n')
        result = run("send", "-c", str(conf), "--from", "me@example.org", "--body", "straight", "alice@example.com",
                     "x@null.test")
    assert b"alice@example.com: delivered" in result.stdout and b"x@null.test" in result.stdout, result.stdout
    assert b"5.1.10" in result.stdout or b"null MX" in result.stdout
    assert result.returncode != 0
    assert b"straight" in only(server)


def test_send_says_why(server):
    result = run("send", "--server", "127.0.0.1:1", "--from", "a@example.org", "--body", "x", "alice@example.com")
    assert result.returncode == 75 and b"refused" in result.stdout
    result = run("send", "--server", f"127.0.0.1:{server.port}", "--from", "a@example.org", "--body", "x",
                 "nobody@example.com")
    assert result.returncode in (65, 69) and b"5.1.1" in result.stdout + result.stderr
