"""Clients that come through somebody else: a load balancer with the PROXY protocol, a mail proxy with XCLIENT."""
import socket
import struct
import subprocess
import time

import pytest

from harness import Talk, free_port, need, queued_id, running, wait_for
from test_tls import SecureTalk, record_of_hello, trusting

LOCAL = 'domain "example.com" { users = ["alice"] }\nrelay_from = ["192.0.2.0/24"]\n'
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(client="192.0.2.7", command=0x21, notes=b""):
    six = ":" in client
    family = socket.AF_INET6 if six else socket.AF_INET
    body = socket.inet_pton(family, client) * 2 + struct.pack(">HH", 40000, 25) + notes
    return SIGNATURE + bytes([command, 0x21 if six else 0x11]) + struct.pack(">H", len(body)) + body


def arriving(header):
    """The kind of talk that begins with the header."""
    class Proxied(Talk):
        def __init__(self, port, banner=True, **kwargs):
            super().__init__(port, banner=False, **kwargs)
            self.send(header)
            self.banner = self.reply() if banner else None
    return Proxied


@pytest.fixture
def proxied(make_server):
    server = make_server(LOCAL, start=False)
    server.proxy, server.implicit = free_port(), free_port()
    server.configure(LOCAL + f'''
        listen proxied {{ bind = "127.0.0.1:{server.proxy}", proxy_from = ["127.0.0.1", "10.0.0.0/8"] }}
        listen implicit {{ bind = "127.0.0.1:{server.implicit}", tls = implicit, proxy_from = "127.0.0.1" }}
        limits {{ connections_per_client = 2, timeout = 3s }}
    ''')
    return server.start()


def received(server, count=1):
    return server.mailbox("alice", "example.com").wait(count)[-1]


@pytest.mark.parametrize("header, client", [
    (LINE, b"[192.0.2.7]"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n", b"[IPv6:2001:db8::7]"),
    (b"PROXY UNKNOWN\r\n", b"[127.0.0.1]"),
    (binary(), b"[192.0.2.7]"),
    (binary("2001:db8::7", notes=b"\x02\x00\x04host" + b"\x20\x00\x05\x01\0\0\0\0"), b"[IPv6:2001:db8::7]"),
    (binary(command=0x20), b"[127.0.0.1]"),
], ids=["line", "line6", "unknown", "binary", "binary6", "local"])
def test_the_client_is_the_one_told(proxied, header, client):
    with arriving(header)(proxied.proxy) as t:
        assert t.banner.startswith("220 mail.example.com ESMTP")
        queued_id(t.mail("alice@example.com"))
    assert b" (" + client + b")" in received(proxied)
    told = client.decode().strip("[]").removeprefix("IPv6:")
    line = proxied.wait_log("event=accepted")
    assert f'client={told} ' in line or f'client="{told}" ' in line, line


def test_access_follows_the_client_that_was_told(proxied):
    with arriving(LINE)(proxied.proxy) as t:
        queued_id(t.mail("x@far.test"))
    with arriving(LINE.replace(b"192.0.2.7", b"127.0.0.1"))(proxied.proxy) as t:
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<a@b.example>", "250")
        assert t.ask("RCPT TO:<x@far.test>").startswith("550 5.7.1")


@pytest.mark.parametrize("header", [LINE, binary()], ids=["line", "binary"])
def test_every_split_and_what_follows_the_header(proxied, header):
    """Octets one by one; then all at once with the first command behind."""
    with Talk(proxied.proxy, banner=False) as t:
        t.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in header:
            t.send(bytes([octet]))
            time.sleep(0.001)
        assert t.reply().startswith("220")
        queued_id(t.mail("alice@example.com"))
    with Talk(proxied.proxy, banner=False) as t:
        t.send(header + b"EHLO early\r\nQUIT\r\n")
        assert [t.reply()[:3] for _ in range(3)] == ["220", "250", "221"] and t.closed()


@pytest.mark.parametrize("header", [LINE, binary()], ids=["line", "binary"])
def test_before_tls(proxied, header):
    class Proxied(SecureTalk):
        def shake(self):
            self.socket.sendall(header)
            super().shake()
    with Proxied(proxied.implicit, implicit=True) as t:
        queued_id(t.mail("alice@example.com"))
    message = received(proxied)
    assert b"[192.0.2.7]" in message and b"with ESMTPS" in message


def test_header_and_hello_in_one(proxied):
    """TLS octets that come together with the header are TLS's."""
    with socket.create_connection(("127.0.0.1", proxied.implicit), timeout=10) as s:
        s.sendall(LINE + record_of_hello())
        assert s.recv(1) == b"\x16"


@pytest.mark.parametrize("octets, why", [
    (b"EHLO client\r\n", "does not begin with a PROXY header"),
    (b"PROXY TCP4 nonsense\r\n", "bad addresses"),
    (b"PROXY " + b"x" * 200, "the line is too long"),
    (SIGNATURE + b"\x31\x11\0\0", "the version is unknown"),
    (SIGNATURE + b"\x21\x11\xff\xff", "it is too long"),
    (LINE[:-1], "no whole PROXY header came in time"),
    (b"", "no whole PROXY header came in time"),
])
def test_a_wrong_header_closes(proxied, octets, why):
    with Talk(proxied.proxy, banner=False) as t:
        t.send(octets)
        assert t.closed(15) and t.buffer == b""
    line = proxied.wait_log("event=proxy-failed", why)
    assert "client=127.0.0.1" in line


def test_a_look_at_the_port_is_no_failure(proxied):
    socket.create_connection(("127.0.0.1", proxied.proxy)).close()
    with socket.create_connection(("127.0.0.1", proxied.proxy)) as s:
        s.sendall(LINE[:10])
    proxied.wait_log("proxy-failed", "the connection ended within")
    assert proxied.log().count("proxy-failed") == 1


def test_from_others_no_header_is_looked_for(make_server):
    server = make_server(LOCAL, start=False)
    port = free_port()
    server.configure(LOCAL + f'listen far {{ bind = "127.0.0.1:{port}", proxy_from = "10.0.0.0/8" }}\n')
    server.start()
    with Talk(port) as t:
        queued_id(t.mail("alice@example.com"))
        assert t.ask(LINE.decode().strip()).startswith("500 5.5.2")


def test_limits_count_the_client_that_was_told(proxied):
    """Of two told clients each may have two; the load balancer itself has no such limit."""
    talks = [arriving(LINE)(proxied.proxy) for _ in range(2)]
    talks += [arriving(LINE.replace(b"2.7", b"2.8"))(proxied.proxy) for _ in range(2)]
    refused = arriving(LINE)(proxied.proxy)
    assert refused.banner == "421 4.7.0 Error: too many connections from your address"
    assert refused.closed()
    proxied.wait_log("connection-refused", "client=192.0.2.7")
    talks[0].close()

    def fits():
        with arriving(LINE)(proxied.proxy) as t:
            return t.banner.startswith("220")
    wait_for(fits, 10, "room for another of this client")
    for t in talks:
        t.close()


def test_a_bad_network_is_told_with_its_place(make_server):
    server = make_server("", start=False)
    server.configure('listen mx { bind = "127.0.0.1:0", proxy_from = ["balancer"] }\n')
    result = server.run("serve", "--check")
    assert result.returncode == 78
    assert b'listen mx.proxy_from' in result.stderr and b'"balancer" is not a network' in result.stderr


@pytest.mark.parametrize("option, check", [("send-proxy", ""), ("send-proxy-v2", "check inter 100ms")])
def test_behind_haproxy(proxied, tmp_path, option, check):
    front, secure = free_port("127.0.0.2"), free_port("127.0.0.2")
    file = tmp_path / "haproxy.cfg"
    file.write_text(f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen smtp
    bind 127.0.0.2:{front}
    server one 127.0.0.1:{proxied.proxy} {option} {check} source 127.0.0.1
listen smtps
    bind 127.0.0.2:{secure}
    server one 127.0.0.1:{proxied.implicit} {option} source 127.0.0.1
""")
    with running([need("haproxy"), "-db", "-f", str(file)], stdout=subprocess.DEVNULL):
        def open_():
            try:
                socket.create_connection(("127.0.0.2", front), source_address=("127.0.0.77", 0)).close()
                return True
            except ConnectionRefusedError:
                return False
        wait_for(open_, 20, "haproxy listens")
        for port, more in (front, ["-tls"]), (secure, ["-tlsc"]):
            said = subprocess.run([need("swaks"), "-s", "127.0.0.2", "-p", str(port), "-li", "127.0.0.77", *more, "-t",
                                   "alice@example.com", "-f", "a@b.example"], capture_output=True, timeout=30)
            assert said.returncode == 0, said.stdout
    for message in proxied.mailbox("alice", "example.com").wait(2):
        assert b"[127.0.0.77]" in message and b"with ESMTPS" in message


def test_curl_tells_for_itself(proxied, tmp_path):
    (tmp_path / "mail").write_bytes(b"Subject: by curl\r\n\r\nhello\r\n")
    subprocess.run([need("curl"), "-sS", "--haproxy-protocol", f"smtp://127.0.0.1:{proxied.proxy}/c", "--mail-from",
                    "a@b.example", "--mail-rcpt", "alice@example.com", "-T", str(tmp_path / "mail")],
                   check=True, timeout=20)
    assert b"[127.0.0.1]" in received(proxied)


# ---- XCLIENT -------------------------------------------------------------------------------------

@pytest.fixture
def spoken(make_server):
    server = make_server(LOCAL, start=False)
    server.inner, server.submission = free_port(), free_port()
    server.configure(LOCAL + f'''
        listen inner {{ bind = "127.0.0.1:{server.inner}", xclient_from = ["127.0.0.1", "192.0.2.66"] }}
        listen submission {{ bind = "127.0.0.1:{server.submission}", role = submission, tls = starttls,
                             xclient_from = "127.0.0.1" }}
        limits {{ connections_per_client = 2 }}
    ''')
    return server.start()


def test_xclient_for_those_listed_alone(spoken):
    with Talk(spoken.port) as t:
        assert "XCLIENT" not in t.expect("EHLO c", "250")
        assert t.ask("XCLIENT ADDR=192.0.2.7").startswith("550 5.7.0")
        t.expect("MAIL FROM:<a@b.example>", "250")
        assert t.ask("RCPT TO:<x@far.test>").startswith("550 5.7.1")
    with Talk(spoken.inner) as t:
        assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in t.expect("EHLO c", "250")


def test_xclient_names_the_client(spoken):
    with Talk(spoken.inner) as t:
        t.expect("EHLO proxy", "250")
        t.expect("XCLIENT NAME=far.test ADDR=192.0.2.7 PORT=4711 HELO=told PROTO=ESMTP", "220 mail.example.com ESMTP")
        t.expect("MAIL FROM:<a@b.example>", "250")
        t.expect("RCPT TO:<alice@example.com>", "250")
        t.expect("RCPT TO:<x@far.test>", "250")             # 192.0.2.0/24 may relay
        t.expect("RSET", "250")
        t.expect("XCLIENT ADDR=IPV6:2001:db8::7 HELO=[UNAVAILABLE]", "220")
        assert t.ask("MAIL FROM:<a@b.example>").startswith("503")
        queued_id(t.mail("alice@example.com", helo="other"))
        assert t.ask("RCPT TO:<x@far.test>").startswith("503")
        t.expect("MAIL FROM:<a@b.example>", "250")
        assert t.ask("RCPT TO:<x@far.test>").startswith("550 5.7.1")
    assert b"from other ([IPv6:2001:db8::7])" in received(spoken)
    line = spoken.wait_log("event=accepted")
    assert "2001:db8::7" in line and "helo=other" in line


def test_xclient_that_is_not_known_may_nothing(make_server):
    """The default lets loopback relay; who comes through it, and cannot be told, may not."""
    server = make_server('domain "example.com" { users = ["alice"] }\n', start=False)
    port = free_port()
    server.configure('domain "example.com" { users = ["alice"] }\n'
                     f'listen inner {{ bind = "127.0.0.1:{port}", xclient_from = "127.0.0.1" }}\n')
    server.start()
    with Talk(port) as t:
        t.expect("XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", "220")
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<a@b.example>", "250")
        assert t.ask("RCPT TO:<x@far.test>").startswith("550 5.7.1")
        t.expect("RSET", "250")
        queued_id(t.mail("alice@example.com"))
    message = server.mailbox("alice", "example.com").wait()[0]
    assert b"127.0.0.1" not in message


def test_xclient_logs_in(spoken):
    with Talk(spoken.submission) as t:
        t.expect("EHLO c", "250")
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("530")
        t.expect("XCLIENT LOGIN=alice+40example.com ADDR=198.51.100.7", "220")
        queued_id(t.mail("alice@example.com", sender="alice@example.com"))
        t.expect("XCLIENT LOGIN=[UNAVAILABLE]", "220")
        t.expect("EHLO c", "250")
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("530")
    assert "account=alice@example.com" in spoken.wait_log("event=accepted", "client=198.51.100.7")


def test_what_xclient_said_before_starttls_is_forgotten(spoken):
    with Talk(spoken.submission) as t:
        t.expect("EHLO c", "250")
        t.expect("XCLIENT LOGIN=alice+40example.com ADDR=198.51.100.7", "220")
        t.expect("EHLO c", "250")
        t.expect("STARTTLS", "220")
        t.socket = trusting().wrap_socket(t.socket)
        t.expect("EHLO c", "250")
        assert t.ask("MAIL FROM:<alice@example.com>").startswith("530")
        t.expect("XCLIENT LOGIN=alice+40example.com", "220")
        queued_id(t.mail("alice@example.com", sender="alice@example.com"))
    line = spoken.wait_log("event=accepted")
    assert "client=127.0.0.1" in line and "account=alice@example.com" in line
    assert b"with ESMTPSA" in received(spoken)


def test_xclient_is_counted_as_the_client_told(spoken):
    def become(t, address):
        return t.ask(f"XCLIENT ADDR={address}")
    talks = []
    for _ in range(2):
        talks.append(Talk(spoken.inner))
        assert become(talks[-1], "192.0.2.7").startswith("220")
    with Talk(spoken.inner) as t:
        assert become(t, "192.0.2.8").startswith("220")
        assert become(t, "192.0.2.7") == "421 4.7.0 Error: too many connections from your address"
        assert t.closed()
    talks[0].close()

    def fits():
        with Talk(spoken.inner) as t:
            return become(t, "192.0.2.7").startswith("220")
    wait_for(fits, 10, "room for another of this client")
    talks[1].close()


def test_xclient_in_disorder(spoken):
    with Talk(spoken.inner) as t:
        for bad in "", " ADDR=nonsense", " FOO=bar", " HELO=a+0Ab", " ADDR=192.0.2.1 ADDR=192.0.2.1":
            assert t.ask("XCLIENT" + bad).startswith("501 5.5.4"), bad
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<a@b.example>", "250")
        assert t.ask("XCLIENT ADDR=192.0.2.7").startswith("503 5.5.1")


def test_xclient_from_swaks(spoken):
    said = subprocess.run([need("swaks"), "-s", "127.0.0.1", "-p", str(spoken.inner), "-tls", "-t", "alice@example.com",
                           "-f", "a@b.example", "--xclient-addr", "192.0.2.7", "--xclient-name", "far.test",
                           "--xclient-helo", "told.test"], capture_output=True, timeout=30)
    assert said.returncode == 0, said.stdout
    message = received(spoken)
    assert b"([192.0.2.7])" in message and b"with ESMTPS" in message


def test_xclient_behind_the_proxy_protocol(make_server):
    """The one who may speak for others is the one whom the load balancer names."""
    server = make_server(LOCAL, start=False)
    port = free_port()
    server.configure(LOCAL + f'listen both {{ bind = "127.0.0.1:{port}", proxy_from = "127.0.0.1", '
                     'xclient_from = "192.0.2.7" }\n')
    server.start()
    with arriving(LINE)(port) as t:
        assert "XCLIENT" in t.expect("EHLO c", "250")
    with arriving(LINE.replace(b"2.7", b"2.8"))(port) as t:
        assert "XCLIENT" not in t.expect("EHLO c", "250")
