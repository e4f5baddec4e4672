"""Tokens from a provider's endpoint, by client credentials (RFC 6749 4.4)."""
import base64
import http.server
import json
import threading
import time
import urllib.parse

import pytest

from test_hop_login import Bearer, hop, no_secrets, reason, relay, send  # noqa: F401


class TokenServer:
    """An authority's token endpoint, over https."""

    def __init__(self, context, life=3600):
        self.requests, self.life, self.answer, me = [], life, None, self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                me.requests.append((self.path, self.headers["Authorization"], urllib.parse.parse_qs(body)))
                status, answer = me.answer or (200, json.dumps(
                    {"access_token": f"token-{len(me.requests)}", "token_type": "Bearer", "expires_in": me.life}))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint(authority):
    server = TokenServer(authority.server("127.0.0.1"))
    yield server
    server.close()


def credentials(tmp_path, port):
    (tmp_path / "client-secret").write_text("s3cret of:ours\n")
    return (f'token {{ url = "https://127.0.0.1:{port}/token", client_id = "client&1"\n'
            f'client_secret_file = "{tmp_path}/client-secret", scope = "mail.send extra" }}')


def test_client_credentials(relay, hop, endpoint, tmp_path):
    bearer = Bearer()
    h = hop(auth="XOAUTH2", replies=bearer)
    server = relay(h.port, credentials(tmp_path, endpoint.port))
    for _ in range(10):
        send(server)
    h.wait(10, timeout=30)
    path, authorization, form = endpoint.requests[0]
    assert len(endpoint.requests) == 1 and path == "/token"
    assert base64.b64decode(authorization.split()[1]) == b"client%261:s3cret%20of%3Aours"
    assert form == {"grant_type": ["client_credentials"], "scope": ["mail.send extra"]}
    no_secrets(server, "token-1", "s3cret of:ours")


def test_an_expired_token_is_renewed(relay, hop, endpoint, tmp_path):
    bearer = Bearer()
    endpoint.life = 2  # half of it is margin
    h = hop(auth="XOAUTH2", replies=bearer)
    server = relay(h.port, credentials(tmp_path, endpoint.port))
    send(server)
    h.wait(timeout=20)
    bearer.right = "token-2"
    time.sleep(7)  # the idle connection is gone, too
    send(server)
    h.wait(2, timeout=20)
    assert bearer.tried == ["token-1", "token-2"]


@pytest.mark.parametrize("answer,words", [
    ((401, '{"error": "invalid_client"}'), "invalid_client"),
    ((503, "busy"), "HTTP status 503"),
    ((200, "<html>"), "no JSON"),
])
def test_endpoints_that_fail(relay, hop, endpoint, tmp_path, answer, words):
    endpoint.answer = answer
    h = hop(auth="XOAUTH2")
    server = relay(h.port, credentials(tmp_path, endpoint.port))
    send(server)
    reason(server, "no token", words)
    endpoint.answer = None
    endpoint.requests.clear()
    h.replies = Bearer()
    server.run("queue", "retry", "--all", check=True)
    h.wait(timeout=30)
