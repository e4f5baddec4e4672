"""A certificate from an ACME authority: Pebble, the authority's own test server."""
import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import time

import pytest

from harness import Talk, free_port, need, running, wait_for
from peers import Authority

NAME = "mail.example.com"
LOCAL = 'domain "example.com" { users = ["alice"] }\n'


class Pebble:
    """An authority that resolves every name to 127.0.0.1."""

    def __init__(self, stack, directory, lifetime=None, **environment):
        need("pebble"), need("pebble-challtestsrv")
        self.ca = Authority(directory)
        certificate, key = self.ca.issue("localhost")[:2]
        self.port, self.http, self.tls, dns, management = (free_port() for _ in range(5))
        config = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{management}",
                  "certificate": str(certificate), "privateKey": str(key), "httpPort": self.http, "tlsPort": self.tls,
                  "ocspResponderURL": "", "externalAccountBindingRequired": False}
        if lifetime:
            config["certificateValidityPeriod"] = lifetime
        path = pathlib.Path(directory) / "pebble.json"
        path.write_text(json.dumps({"pebble": config}))
        stack.enter_context(running(["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
                                     "-dns01", f"127.0.0.1:{dns}", "-http01", "", "-https01", "", "-tlsalpn01", "",
                                     "-management", f"127.0.0.1:{free_port()}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.enter_context(running(["pebble", "-config", path, "-dnsserver", f"127.0.0.1:{dns}"],
                                    env=os.environ | {"PEBBLE_VA_NOSLEEP": "1"} | environment,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for port in (self.port, management):
            wait_for(lambda: listening(port), 20, "pebble listens")

    def config(self, challenge="http-01", more=""):
        port = self.http if challenge == "http-01" else self.tls
        return LOCAL + f"""
acme {{
  agree = true, directory = "https://localhost:{self.port}/dir", email = "postmaster@example.com", ca_file = "{self.ca.roots}"
  challenge = {challenge}, bind = ["127.0.0.1:{port}"] {more}
}}
"""


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pebble(tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda **options: Pebble(stack, tmp_path / "authority", **options)


def shown(server):
    """What a client sees after STARTTLS: issuer, names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Talk(server.port) as t:
        t.expect("EHLO me.test", "250")
        t.expect("STARTTLS", "220")
        t.socket = context.wrap_socket(t.socket, server_hostname=NAME)
        der = t.socket.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-issuer", "-ext", "subjectAltName"],
                          input=der, capture_output=True, check=True).stdout.decode()
    return text


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_a_certificate_is_obtained_and_used(make_server, pebble, challenge):
    """Though the authority refuses many a nonce."""
    authority = pebble(PEBBLE_WFE_NONCEREJECT="30")
    server = make_server(authority.config(challenge))
    server.wait_log("certificate-obtained", timeout=60)
    wait_for(lambda: "Pebble" in shown(server), 20, "it is shown without a restart")
    assert f"DNS:{NAME}" in shown(server)
    account = (server.state / "acme" / "account.pem").read_bytes()
    assert (server.state / "acme" / "key.pem").stat().st_mode & 0o077 == 0
    server.stop()
    server.start()
    assert "Pebble" in shown(server)
    assert (server.state / "acme" / "account.pem").read_bytes() == account
    time.sleep(0.5)
    assert server.log().count("certificate-obtained") == 1, "one that is good is not obtained again"


def test_it_is_renewed_in_time(make_server, pebble):
    server = make_server(pebble(lifetime=2).config())
    server.wait_log("certificate-obtained", timeout=60)
    time.sleep(2)
    server.stop()
    server.start()
    server.wait_log("certificate-obtained", count=2, timeout=60)


def test_several_names(make_server, pebble):
    """And when one more is wanted, another certificate is obtained."""
    authority = pebble()
    server = make_server(authority.config())
    server.wait_log("certificate-obtained", timeout=60)
    server.configure(authority.config(more=', names = ["mail.example.com", "mx.example.net"]'))
    server.reload()
    server.wait_log("certificate-obtained", count=2, timeout=60)
    wait_for(lambda: "DNS:mx.example.net" in shown(server), 20, "both names are in it")


def test_a_failure_says_why_and_mail_goes_on(make_server, pebble):
    """The authority looks at a port where nobody answers."""
    authority = pebble()
    server = make_server(authority.config().replace(f"127.0.0.1:{authority.http}", f"127.0.0.1:{free_port()}"))
    server.wait_log("acme-failed", "mail.example.com was not proved by http-01", "again=10m", timeout=60)
    with server.talk() as t:
        t.mail(["alice@example.com"])
    server.mailbox("alice", "example.com").wait(1)
    assert "Pebble" not in shown(server)


def test_an_authority_that_is_not_trusted_or_not_there(make_server, tmp_path):
    port = free_port()
    server = make_server(LOCAL + f'acme {{ agree = true, directory = "https://localhost:{port}/dir", bind = ["127.0.0.1:{free_port()}"] }}\n')
    server.wait_log("acme-failed", "directory: no answer", timeout=60)


def test_nothing_is_shown_to_others(make_server, pebble):
    authority = pebble()
    server = make_server(authority.config())
    server.wait_log("certificate-obtained", timeout=60)
    for request in (b"GET / HTTP/1.1\r\n\r\n", b"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"POST / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"x" * 100 + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", authority.http), timeout=10) as s:
            for octet in request:
                s.sendall(bytes([octet]))
            assert s.makefile("rb").read().startswith(b"HTTP/1.1 404 "), request
    with socket.create_connection(("127.0.0.1", authority.http), timeout=10) as s:
        with contextlib.suppress(OSError):
            s.sendall(b"x" * 10000)
            assert s.recv(100) == b""


def test_without_agreement_nothing_is_asked_for(make_server):
    server = make_server(LOCAL + 'acme { directory = "https://localhost:1/dir" }\n')
    with server.talk() as t:
        t.mail(["alice@example.com"])
    assert "acme" not in server.log() and not (server.state / "acme").exists()
