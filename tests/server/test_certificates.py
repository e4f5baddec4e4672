"""Certificates: several, by name; new ones as they come; those that cannot be used."""
import os
import re
import shutil
import ssl
import subprocess

from harness import need, queued_id, wait_for
from test_tls import LOCAL, SecureTalk, trusting

WATCH = 'tls { watch = "100ms" }\n'


def shown(server, name=None):
    """The names in the certificate that a client gets who asks for `name`."""
    pem = subprocess.run([need("openssl"), "s_client", "-starttls", "smtp", "-connect", f"127.0.0.1:{server.port}",
                          *(["-servername", name] if name else ["-noservername"])],
                         input=b"QUIT\n", capture_output=True, timeout=20).stdout
    text = subprocess.run([need("openssl"), "x509", "-noout", "-ext", "subjectAltName", "-serial"], input=pem,
                          capture_output=True, timeout=20).stdout.decode()
    return set(re.findall(r"DNS:([\w.*-]+)", text))


def block(name, pair):
    return f'certificate "{name}" {{ certificate = "{pair[0]}", key = "{pair[1]}" }}\n'


def default(pair, more=""):
    return f'tls {{ certificate = "{pair[0]}", key = "{pair[1]}" {more} }}\n'


def test_several_by_name(make_server, authority):
    org, both = authority.issue("mail.example.org", "mx.example.org"), authority.issue("a.example.net", "*.wild.test")
    server = make_server(LOCAL + block("org", org) + block("net", both))
    assert shown(server) == {"mail.example.com"}             # made by the server
    assert shown(server, "unheard.test") == {"mail.example.com"}
    assert shown(server, "mx.example.org") == {"mail.example.org", "mx.example.org"}
    assert shown(server, "A.Example.NET") == shown(server, "x.wild.test") == {"a.example.net", "*.wild.test"}
    with SecureTalk(server.port, context=trusting(authority.roots), name="mx.example.org") as t:
        queued_id(t.mail("alice@example.com"))
    server.configure(LOCAL + block("net", both))
    server.reload()
    server.wait_log("event=reloaded")
    assert shown(server, "mx.example.org") == {"mail.example.com"}
    assert shown(server, "a.example.net") == {"a.example.net", "*.wild.test"}


def test_what_is_wrong_is_told_with_its_place(make_server, authority, tmp_path):
    one, other, old = authority.issue("one.test"), authority.issue("other.test"), authority.issue("old.test", days=-1)
    server = make_server("", start=False)
    (tmp_path / "not.pem").write_text("nonsense")
    locked = tmp_path / "locked.pem"
    subprocess.run([need("openssl"), "pkey", "-in", str(one[1]), "-aes128", "-passout", "pass:x", "-out", str(locked)],
                   check=True, capture_output=True)
    lines = [block("mixed", (one[0], other[1])), block("absent", ("/no/such.pem", one[1])),
             block("nonsense", (tmp_path / "not.pem", one[1])), block("locked", (one[0], locked)),
             block("old", old), 'certificate "half" { certificate = "x.pem" }\n']
    server.file.write_text("".join(lines[:-1]) + f'state = "{server.state}"\nlisten mx {{ bind = "127.0.0.1:{server.port}" }}\n')
    for arguments in ["serve", "--check"], ["serve"]:
        result = server.run(*arguments)
        said = result.stderr.decode()
        assert result.returncode == 78, said
        assert f"{server.file}:1: certificate mixed: {other[1]}: this private key is not the one of the certificate in {one[0]}" in said
        assert f"{server.file}:2: certificate absent: /no/such.pem: No such file or directory" in said
        assert f"{server.file}:3: certificate nonsense: {tmp_path}/not.pem: certificate: no start line; PEM is wanted" in said
        assert re.search(rf"{server.file}:4: certificate locked: {locked}: private key: .*without a pass phrase", said), said
        assert len(said.splitlines()) == 4      # one that has expired is no mistake
    server.file.write_text("\n" + lines[-1])
    said = server.run("serve", "--check").stderr.decode()
    assert f"{server.file}:2: certificate half: both certificate and key are wanted" in said


def test_one_that_ends_is_warned_of(make_server, authority):
    old, soon, fine = (authority.issue(f"{n}.test", days=d) for n, d in (("old", -1), ("soon", 9), ("fine", 30)))
    server = make_server(LOCAL + default(old) + block("soon", soon) + block("fine", fine))
    assert "it has expired" in server.wait_log("certificate-ends", str(old[0]))
    assert "days=8" in server.wait_log("certificate-ends", str(soon[0]), "it expires soon")
    assert server.log().count("certificate-ends") == 2


def replace(pair, directory):
    """As careful programs do it: a new file under the old name."""
    for new, name in zip(pair, ("cert.pem", "key.pem")):
        shutil.copy(new, directory / "new")
        os.rename(directory / "new", directory / name)


def test_changed_files_are_read_by_themselves(make_server, authority):
    server = make_server(LOCAL + WATCH)
    kept = SecureTalk(server.port)
    replace(authority.issue("new.test"), server.state / "tls")
    server.wait_log("certificates-read", "count=1")
    assert shown(server) == {"new.test"}
    queued_id(kept.mail("alice@example.com"))
    kept.close()
    assert "certificates-kept" not in server.log()


def test_links_that_lead_elsewhere(make_server, authority, tmp_path):
    """As certbot keeps them: the names stay, and what they lead to is another."""
    live = tmp_path / "live"
    live.mkdir()

    def link(pair):
        for file, name in zip(pair, ("fullchain.pem", "privkey.pem")):
            os.symlink(file, live / "new")
            os.rename(live / "new", live / name)
    link(authority.issue("first.test"))
    server = make_server(LOCAL + WATCH + block("live", (live / "fullchain.pem", live / "privkey.pem")))
    assert shown(server, "first.test") == {"first.test"}
    link(authority.issue("second.test"))
    server.wait_log("certificates-read", "count=2")
    assert shown(server, "second.test") == {"second.test"}
    assert shown(server, "first.test") == {"mail.example.com"}


def test_a_broken_file_changes_nothing_and_is_told_once(make_server, authority):
    server = make_server(LOCAL + WATCH)
    (server.state / "tls/cert.pem").write_text("nonsense")
    assert "tls/cert.pem: certificate: no start line" in server.wait_log("certificates-kept")
    assert shown(server) == {"mail.example.com"}
    wait_for(lambda: looks(server) > 5, 20, "some looks")
    assert server.log().count("certificates-kept") == 1
    (server.state / "tls/cert.pem").unlink()
    server.wait_log("certificates-kept", "No such file", count=1)
    replace(authority.issue("mended.test"), server.state / "tls")
    server.wait_log("certificates-read")
    assert shown(server) == {"mended.test"}


def looks(server):
    """Some time that the server has lived through: its timers run, so it looked."""
    server.count = getattr(server, "count", 0) + 1
    shown(server)
    return server.count


def test_sessions_are_resumed_with_the_next_certificate(make_server, authority):
    """The keys of tickets outlive a certificate."""
    server = make_server(LOCAL + WATCH)
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        context = trusting()
        context.minimum_version = context.maximum_version = version
        with SecureTalk(server.port, context=context) as t:
            t.expect("NOOP", "250")
            session = t.socket.session
        replace(authority.issue(f"{version.name}.test".replace("_", "-").lower()), server.state / "tls")
        server.wait_log("certificates-read", count=1 if version == ssl.TLSVersion.TLSv1_2 else 2)
        resumed = Resuming(server.port, context, session)
        assert resumed.socket.session_reused
        queued_id(resumed.mail("alice@example.com"))
        resumed.close()


class Resuming(SecureTalk):
    def __init__(self, port, context, session):
        self.session = session
        super().__init__(port, context=context)

    def shake(self):
        self.socket = self.context.wrap_socket(self.socket, session=self.session)
