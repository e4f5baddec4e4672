"""DANE: what signed zones say of a host's certificate, and what becomes of the mail.  Knot signs, libunbound validates."""
import datetime
import functools
import hashlib
import json
import os
import ssl
import subprocess

import dns.flags as dns_flags
import dns.message as dns_message
import dns.rdatatype as dns_type
import pytest

from harness import free_port, need, queued_id, wait_for
from peers import dns
from real_peers import DnsMeddler, postfix
from test_dns import trust_anchor
from test_tls import SecureTalk

LOCAL = 'domain "example.com" { users = "*" }\nqueue { retry = ["1s"] }\n'


@pytest.fixture
def hops(hops):
    """Where the zones say."""
    return functools.partial(hops, host="127.0.1.1")


def der(certificate, key=False):
    arguments = ["x509", "-in", str(certificate)] + (["-noout", "-pubkey"] if key else ["-outform", "der"])
    said = subprocess.run([need("openssl"), *arguments], check=True, capture_output=True).stdout
    if key:
        said = subprocess.run([need("openssl"), "pkey", "-pubin", "-outform", "der"], input=said, check=True,
                              capture_output=True).stdout
    return said


def tlsa(certificate, usage=3, selector=1, matching=1):
    """The record's data for a certificate."""
    data = der(certificate, selector == 1)
    data = {0: lambda d: d, 1: lambda d: hashlib.sha256(d).digest(), 2: lambda d: hashlib.sha512(d).digest()}[matching](data)
    return f"TLSA {usage} {selector} {matching} {data.hex()}"


WRONG = "TLSA 3 1 1 " + "00" * 32


class Show:
    """A certificate, and a TLS server that shows it; `chain`: with the authority's."""

    def __init__(self, authority, *names, days=10, chain=False):
        self.file, key = authority.issue(*names, days=days)
        shown = self.file
        if chain:
            shown = self.file.with_suffix(".chain")
            shown.write_bytes(self.file.read_bytes() + authority.roots.read_bytes())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(shown, key)


class World:
    """Zones that Knot signs, and servers of ours that trust signed.test."""

    def __init__(self, make_server, directory, port, dns_port=None):
        self.make_server, self.directory, self.smtp_port, self.port = make_server, directory, port, dns_port
        self.anchor = trust_anchor(directory, "signed.test")
        self.made = 0

    def server(self, route="", more="", authority=None, dns_port=None):
        self.made += 1
        server = self.make_server(
            LOCAL + f'dns {{ servers = ["127.0.0.1:{dns_port or self.port}"], trust_anchor = "{self.anchor}" }}\n'
            f'route "*" {{ to = mx, port = {self.smtp_port}, allow_loopback = true {route} }}\n' + more,
            name=f"server{self.made}", start=False)
        return server.start(env=dict(os.environ, SSL_CERT_FILE=str(authority.roots) if authority else "/dev/null",
                                     SSL_CERT_DIR="/nowhere"))


@pytest.fixture
def world(make_server, tmp_path):
    """world(port, zone): Knot serves signed.test (and other zones), mail goes to `port`."""
    open_ones = []

    def make(port, zone, **others):
        zones = {"signed.test": zone, **{name.replace("_", "."): text for name, text in others.items()}}
        context = dns(tmp_path / "dns", zones, signed=True)
        open_ones.append(context)
        return World(make_server, tmp_path / "dns", port, context.__enter__())
    yield make
    for context in open_ones:
        context.__exit__(None, None, None)


def zone(port, record, more=""):
    return f"@ MX 10 mx\nmx A 127.0.1.1\n_{port}._tcp.mx {record}\n{more}"


def send(server, to="x@signed.test"):
    with server.talk() as t:
        return queued_id(t.mail(to, sender="sender@example.com"))


def waits_because(server, words):
    def found():
        return any(words in r.get("reason", "") for m in server.queue() for r in m["recipients"])
    wait_for(found, 20, f"a message that waits because {words}")


def shown(server, address="x@signed.test", *options):
    return server.run("route", address, *options, check=True).stdout.decode()


# ---- proven --------------------------------------------------------------------------------------

@pytest.mark.parametrize("policy", ["opportunistic", "dane", "required", "verify"])
def test_the_record_proves_the_host(world, hops, authority, policy):
    """Neither name, nor date, nor issuer count where DNS has the key itself."""
    show = Show(authority, "another.test", days=-1)
    hop = hops(tls=show.context)
    w = world(hop.port, zone(hop.port, tlsa(show.file)))
    server = w.server(f", tls = {policy}")
    id = send(server)
    hop.wait()
    assert hop.secured == [True] and hop.names == ["mx.signed.test"]
    assert 'tls="TLSv1.3 TLS_AES_256_GCM_SHA384 dane"' in server.wait_log("event=delivered", id)
    assert b"TLS_AES_256_GCM_SHA384 dane" in server.run("trace", id, check=True).stdout
    assert "TLS: dane: 1 TLSA record\n" in shown(server)
    off = w.server(", tls = off")
    send(off)
    hop.wait(2)
    assert hop.secured == [True, False]


@pytest.mark.parametrize("names, days, why", [
    (["mx.signed.test"], 10, None),
    (["signed.test"], 10, None),
    (["other.test"], 10, "hostname mismatch"),
    (["mx.signed.test"], -1, "certificate has expired"),
])
def test_an_authority_in_dns(world, hops, authority, names, days, why):
    """Usage 2: names and dates count, whom this machine trusts does not."""
    show = Show(authority, *names, days=days, chain=True)
    hop = hops(tls=show.context)
    server = world(hop.port, zone(hop.port, tlsa(authority.roots, usage=2, selector=0))).server()
    id = send(server)
    if why:
        waits_because(server, why)
        assert not hop.messages
    else:
        hop.wait()
        assert " dane" in server.wait_log("event=delivered", id)


def test_aliases(world, hops, authority):
    show = Show(authority, "whoever.test")
    hop = hops(tls=show.context)
    more = f"alias MX 10 name\nname CNAME mx\nown MX 10 name2\nname2 CNAME plain\nplain A 127.0.1.1\n_{hop.port}._tcp.name2 {WRONG}\n"
    server = world(hop.port, zone(hop.port, tlsa(show.file), more)).server()
    send(server, "x@alias.signed.test")
    hop.wait()
    assert hop.names == ["mx.signed.test"]  # the name that has the record is the one to ask for
    send(server, "x@own.signed.test")
    waits_because(server, "no matching DANE TLSA records")


# ---- not proven ----------------------------------------------------------------------------------

@pytest.mark.parametrize("policy", ["opportunistic", "dane", "verify"])
def test_a_record_of_another_key(world, hops, authority, policy):
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    server = world(hop.port, zone(hop.port, WRONG)).server(f", tls = {policy}", authority=authority)
    send(server)
    waits_because(server, "no matching DANE TLSA records")
    assert "4.7.5" in server.wait_log("event=unreachable")
    failed = server.wait_log("event=tls-failed", "no matching DANE TLSA records")
    assert 'policy="dane: 1 TLSA record"' in failed and "in clear" not in failed
    assert not hop.messages and not hop.commands("MAIL")


def test_another_exchanger_is_taken(world, hops, authority):
    """The first has lost its key; the second has records that fit; the third has none."""
    show = Show(authority, "mx.signed.test")
    first = hops(tls=show.context)
    second = hops(tls=show.context, host="127.0.1.2", port=first.port)
    more = f"@ MX 20 mx2\nmx2 A 127.0.1.2\n_{first.port}._tcp.mx2 {tlsa(show.file, matching=2)}\n"
    server = world(first.port, zone(first.port, WRONG, more)).server()
    send(server)
    second.wait()
    assert second.secured == [True] and not first.messages


def test_stripped_starttls(world, hops, authority):
    show = Show(authority, "mx.signed.test")
    hop = hops()
    server = world(hop.port, zone(hop.port, tlsa(show.file))).server()
    send(server)
    waits_because(server, "TLS is required, the next hop does not offer STARTTLS")
    assert not hop.messages


def test_broken_handshake_is_no_reason_to_go_in_clear(world, hops, authority):
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context, shake=lambda s: s.sendall(b"\x15\x03\x03\x00\x02\x02\x28"))
    server = world(hop.port, zone(hop.port, tlsa(show.file))).server()
    send(server)
    server.wait_log("event=tls-failed", "another host, or later")
    waits_because(server, "starting TLS")
    assert not hop.commands("MAIL")


def test_unusable_records_want_any_tls(world, hops, authority):
    """RFC 7672 2.2: who publishes records has TLS, even if nobody can check them."""
    show = Show(authority, "another.test", days=-1)
    hop = hops(tls=show.context)
    w = world(hop.port, zone(hop.port, tlsa(show.file, usage=1)))
    server = w.server()
    id = send(server)
    hop.wait()
    assert hop.secured == [True] and "GCM_SHA384\"" in server.wait_log("event=delivered", id)
    assert "no usable TLSA record among 1, so any TLS" in shown(server)
    hop.tls = None
    other = w.server()
    send(other)
    waits_because(other, "TLS is required")


# ---- secure, insecure, bogus -----------------------------------------------------------------------

def test_forged_and_missing_answers_are_not_insecure_ones(world, hops, authority):
    """Somebody changes the record on the way: that host is not used, its neighbour is."""
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    other = hops(tls=show.context, host="127.0.1.2", port=hop.port)
    digest = bytes.fromhex(tlsa(show.file).split()[-1])
    more = f"both MX 10 mx\nboth MX 20 plain\nplain A 127.0.1.2\n"
    w = world(hop.port, zone(hop.port, tlsa(show.file), more))
    meddler = DnsMeddler(w.port, lambda answer: answer.replace(digest, b"\x55" * 32))
    try:
        server = w.server(dns_port=meddler.port)
        send(server)
        waits_because(server, "the TLSA records cannot be had securely")
        assert "4.7.5" in server.wait_log("event=unreachable")
        server.wait_log("event=host-barred", "host=mx.signed.test")
        assert not hop.connections
        send(server, "x@both.signed.test")
        other.wait()
        assert not hop.connections
        said = shown(server, "x@both.signed.test")
        assert "must not be used now" in said and said.index("127.0.1.2") < said.index("127.0.1.1")
    finally:
        meddler.close()


def test_insecure_zones_have_no_dane(world, hops, authority):
    """other.test is signed, but nothing vouches for it; and its exchanger's records do not count either."""
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    server = world(hop.port, zone(hop.port, WRONG), other_test=zone(hop.port, WRONG, "to MX 10 mx.signed.test.\n")).server()
    for address in ("x@other.test", "x@to.other.test"):
        assert "TLS: opportunistic\n" in shown(server, address)
        send(server, address)
    hop.wait(2)
    assert hop.secured == [True, True]


# ---- where DNSSEC does not work ----------------------------------------------------------------------

def stripped(answer):
    """As from a resolver that has never heard of DNSSEC."""
    message = dns_message.from_wire(answer)
    for section in (message.answer, message.authority, message.additional):
        section[:] = [s for s in section if s.rdtype not in (dns_type.RRSIG, dns_type.NSEC, dns_type.NSEC3)]
    return message.to_wire()


def test_a_resolver_that_strips_dnssec_defers_no_mail(world, hops, authority):
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    w = world(hop.port, zone(hop.port, WRONG))
    meddler = DnsMeddler(w.port, stripped)
    try:
        server = w.server(dns_port=meddler.port)
        send(server)
        hop.wait()
        line = server.wait_log("event=dnssec-off", "level=warn")
        assert "let dns { servers } be ones that pass DNSSEC on" in line
        assert server.log().count("dnssec-off") == 1
        assert "unreachable" not in server.log() and "deferred" not in server.log()
        assert "TLS: opportunistic\n" in shown(server)
        assert '"secure": true' not in shown(server, "x@signed.test", "--json")
    finally:
        meddler.close()


def test_silence_at_start_is_no_verdict(world, hops, authority):
    """DNS is away when the server starts; when it comes back, DNSSEC counts."""
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    w = world(hop.port, zone(hop.port, tlsa(show.file)))
    away = [True]
    meddler = DnsMeddler(w.port, lambda answer: None if away[0] else answer)
    try:
        server = w.server(dns_port=meddler.port)
        away[0] = False
        id = send(server)
        hop.wait(1, timeout=40)
        assert " dane" in server.wait_log("event=delivered", id)
        assert "dnssec-off" not in server.log()
    finally:
        meddler.close()


def test_servers_that_are_believed_and_do_not_validate(world, hops, authority):
    """validate = resolver, and Knot as an authority says nothing of validation."""
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    w = world(hop.port, zone(hop.port, WRONG))
    server = w.make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{w.port}"], validate = resolver }}\n'
                           f'route "*" {{ to = mx, port = {hop.port}, allow_loopback = true }}\n', name="believer")
    send(server)
    hop.wait()
    assert "TLS: opportunistic\n" in shown(server)


# ---- REQUIRETLS -------------------------------------------------------------------------------------

def test_requiretls_wants_hosts_that_are_known_to_be_right(world, hops, authority):
    """RFC 8689 4.2.1: a certificate alone proves only a name that DNS has told, so DNS has to be secure."""
    show = Show(authority, "mx.signed.test", "mx.other.test")
    hop = hops(tls=show.context, extensions=("PIPELINING", "REQUIRETLS"))
    w = world(hop.port, zone(hop.port, tlsa(show.file), "plain MX 10 bare\nbare A 127.0.1.1\n"),
              other_test="@ MX 10 mx\nmx A 127.0.1.1\n")
    server = w.server(authority=authority)
    for address in ("x@signed.test", "x@other.test"):
        with SecureTalk(server.port) as t:
            t.expect("EHLO c", "250")
            t.expect("MAIL FROM:<sender@example.com> REQUIRETLS", "250")
            t.expect(f"RCPT TO:<{address}>", "250")
            t.expect("DATA", "354")
            t.send("Subject: secret\r\n\r\nsecret\r\n.\r\n")
            queued_id(t.reply())
    hop.wait()
    bounce = server.mailbox("sender", "example.com").wait()[0].decode()
    assert "5.7.30" in bounce and "x@other.test" in bounce and "neither DNSSEC nor MTA-STS vouches" in " ".join(bounce.split())
    assert [r for _, r, _ in hop.messages] == [["x@signed.test"]]
    assert hop.commands("MAIL") == ["MAIL FROM:<sender@example.com> REQUIRETLS"]


# ---- exceptions ------------------------------------------------------------------------------------

def test_exceptions_end(world, hops, authority):
    show = Show(authority, "mx.signed.test")
    hop = hops(tls=show.context)
    w = world(hop.port, zone(hop.port, WRONG, f"sub MX 10 mx\n"))
    server = w.server(", tls = verify", 'tls_except "signed.test" { until = "2999-12-31" }\n'
                      'tls_except ".signed.test" { until = "2020-01-31" }\n')
    assert 'domain=.signed.test until=2020-01-31' in server.wait_log("event=tls-exception-ended")
    assert server.log().count("tls-exception-ended") == 1
    id = send(server)
    hop.wait()
    line = server.wait_log("event=tls-exception", "destination=signed.test")
    assert 'policy="opportunistic, by an exception until 2999-12-31"' in line
    assert 'GCM_SHA384"' in server.wait_log("event=delivered", id)
    assert "by an exception until 2999-12-31" in shown(server)
    assert "dane: 1 TLSA record" in shown(server, "x@sub.signed.test")
    send(server, "x@sub.signed.test")
    waits_because(server, "no matching DANE TLSA records")


@pytest.mark.parametrize("text, complaint", [
    ('tls_except "signed.test" { until = "31.01.2027" }', 'a day such as "2027-01-31" is wanted'),
    ('tls_except "signed.test" { }', 'needs a last day'),
    ('tls_except "*" { until = "2027-01-31" }', '"*" will not do'),
    ('tls_except = "signed.test"', "a name and a block are wanted"),
    ('tls_except "a.test" { until = "2027-01-31" }\ntls_except "A.test" { until = "2027-02-31" }', "day such as"),
    ('tls_except "a.test" { until = "2027-01-31" }\ntls_except "A.test" { until = "2027-02-01" }', "an exception already"),
])
def test_exceptions_that_will_not_do(make_server, text, complaint):
    server = make_server(LOCAL + text + "\n", start=False)
    result = server.run("serve", "--check")
    assert result.returncode == 78 and complaint in result.stderr.decode(), result.stderr


# ---- Postfix, both ways ------------------------------------------------------------------------------

def test_postfix_as_a_next_hop(world, make_server, tmp_path, authority):
    """Its TLS, and its key in DNS; then another key in DNS."""
    chain, key = authority.issue("whoever.test", days=-1)
    tls = f"smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {chain}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_loglevel = 1\n"
    with postfix(["alice"], tls) as hop:
        def to_postfix(record):
            return f"@ MX 10 mx\nmx A 127.0.0.1\n_{hop.port}._tcp.mx {record}\n"
        with dns(tmp_path / "zones", {"post.test": to_postfix(tlsa(chain))}, signed=True) as port:
            server = make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{port}"], trust_anchor = '
                                 f'"{trust_anchor(tmp_path / "zones", "post.test")}" }}\n'
                                 f'route "*" {{ to = mx, port = {hop.port}, allow_loopback = true, tls = dane }}\n')
            id = send(server, "alice@post.test")
            assert b"hello" in hop.mailbox("alice").wait()[0]
            assert 'GCM_SHA384 dane"' in server.wait_log("event=delivered", id)
            wait_for(lambda: "TLS connection established from" in hop.log(), 10)
        with dns(tmp_path / "zones2", {"post.test": to_postfix(WRONG)}, signed=True) as port:
            other = make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{port}"], trust_anchor = '
                                f'"{trust_anchor(tmp_path / "zones2", "post.test")}" }}\n'
                                f'route "*" {{ to = mx, port = {hop.port}, allow_loopback = true, tls = dane }}\n', name="other")
            send(other, "alice@post.test")
            waits_because(other, "no matching DANE TLSA records")
        assert len(hop.mailbox("alice").files()) == 1


def vouching(answer):
    """As a resolver on this machine would answer that has validated what is signed."""
    message = dns_message.from_wire(answer)
    if any(s.rdtype == dns_type.RRSIG for s in [*message.answer, *message.authority]):
        message.flags |= dns_flags.AD
    message.flags |= dns_flags.RA
    return message.to_wire()


@pytest.mark.parametrize("right", [True, False])
def test_postfix_verifies_us(make_server, tmp_path, right):
    """Postfix, level dane-only, comes to our listener by DNS; the key there is ours, or it is not."""
    port = free_port("127.0.1.1")
    server = make_server(f'domain "signed.test" {{ users = "*" }}\nlisten mx {{ bind = ["127.0.1.1:{port}"] }}\n', listen=False)
    record = tlsa(server.state / "tls/cert.pem") if right else WRONG
    with dns(tmp_path / "dns", {"signed.test": zone(port, record)}, signed=True) as dns_port:
        resolver = DnsMeddler(dns_port, vouching, (f"127.77.{port >> 8}.{port & 255}", 53))
        try:
            more = ("relayhost =\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\nsmtp_tls_security_level = dane-only\n"
                    "smtp_tls_loglevel = 1\n"
                    f"transport_maps = inline:{{ {{ signed.test = smtp:signed.test:{port} }} }}\n")
            with postfix(["alice"], more, resolver.socket.getsockname()[0]) as sender:
                sender.sendmail("alice@post.test", ["bob@signed.test"], b"Subject: proven\r\n\r\nhello\r\n")
                if right:
                    assert b"Subject: proven" in server.mailbox("bob", "signed.test").wait(timeout=30)[0]
                    assert "Verified TLS connection established to mx.signed.test" in sender.log()
                else:
                    wait_for(lambda: "Server certificate not trusted" in sender.log() or "not verified" in sender.log(), 30)
                    assert not server.mailbox("bob", "signed.test").files()
        finally:
            resolver.close()


# ---- rockdove route --probe ------------------------------------------------------------------------

def probed(server, address="x@signed.test", roots="/dev/null"):
    environment = dict(os.environ, SSL_CERT_FILE=str(roots), SSL_CERT_DIR="/nowhere")
    text = server.run("route", "--probe", address, check=True, env=environment).stdout.decode()
    found = json.loads(server.run("route", "--probe", "--json", address, check=True, env=environment).stdout)
    return text, [h["probe"] for h in found["targets"][0]["hosts"]]


def test_probe_dane(world, hops, authority):
    show = Show(authority, "another.test", days=-1)
    good = hops(tls=show.context, extensions=("PIPELINING", "SIZE 1000", "REQUIRETLS"))
    bad = hops(tls=Show(authority, "mx2.signed.test").context, host="127.0.1.2", port=good.port)
    stripped_one = hops(host="127.0.1.3", port=good.port)
    more = (f"@ MX 20 mx2\nmx2 A 127.0.1.2\n_{good.port}._tcp.mx2 {WRONG}\n"
            f"@ MX 30 mx3\nmx3 A 127.0.1.3\n_{good.port}._tcp.mx3 {WRONG}\n@ MX 40 mx4\nmx4 A 127.0.1.4\n")
    server = world(good.port, zone(good.port, tlsa(show.file), more)).server()
    text, (one, two, three, four) = probed(server, roots=authority.roots)
    assert one["dane"] == "" and one["authority"] == "hostname mismatch"
    assert one["tls"] == "TLSv1.3 TLS_AES_256_GCM_SHA384" and one["verdict"] == "mail would go over TLS"
    assert one["offers"] == ["PIPELINING", "REQUIRETLS", "SIZE 1000"]
    certificate = one["certificate"]
    assert certificate["subject"] == "CN=another.test" and certificate["issuer"] == "CN=Test authority"
    assert certificate["names"] == "another.test" and certificate["until"] < datetime.date.today().isoformat()
    assert two["dane"] == "No matching DANE TLSA records" or "TLSA" in two["dane"]
    assert two["authority"] == "" and two["verdict"] == "mail would wait: the host is not proven"
    assert not three["starttls"] and three["verdict"] == "mail would wait: there is no TLS"
    assert "Connection refused" in four["error"]
    for words in ("DANE: a record is of it", "authority: vouches for it", "policy: dane: 1 TLSA record; mail would go over TLS",
                  "does not offer STARTTLS", "Connection refused"):
        assert words in text, text
    assert not good.commands("MAIL") and good.names == ["mx.signed.test"] * 2


@pytest.mark.parametrize("policy, verdict", [
    ("opportunistic", "mail would go over TLS"), ("required", "mail would go over TLS"), ("off", "mail would go in clear"),
    ("verify", "mail would wait: the host is not proven")])
def test_probe_without_dane(make_server, hops, authority, policy, verdict):
    hop = hops(tls=Show(authority, "another.test").context)
    server = make_server(LOCAL + f'route "*" {{ to = "smtp:localhost:{hop.port}", tls = {policy} }}\n'.replace("localhost", "127.0.1.1"))
    text, (one,) = probed(server, roots=authority.roots)
    assert one["verdict"] == verdict and one["authority"] == "IP address mismatch" and "dane" not in one
    assert "certificate: CN=another.test, for another.test, from 20" in text


def test_probe_where_tls_fails(make_server, hops, authority):
    hop = hops(tls=Show(authority, "another.test").context, shake=lambda s: s.sendall(b"\x15\x03\x03\x00\x02\x02\x28"))
    server = make_server(LOCAL + f'route "*" {{ to = "smtp:127.0.1.1:{hop.port}" }}\n')
    text, (one,) = probed(server)
    assert "handshake failure" in one["tls_error"] and one["verdict"] == "mail would go in clear"
    assert "TLS fails: " in text
