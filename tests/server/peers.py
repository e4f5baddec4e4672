"""Real peers: a DNS server with zones of our making, and next hops of every character."""
import contextlib
import pathlib
import socket
import socketserver
import ssl
import subprocess
import threading
import time

from harness import free_port, need, running, wait_for


@contextlib.contextmanager
def dns(directory, zones, signed=False):
    """Knot serving zones, {"example.net": "@ MX 10 mx1\\nmx1 A 127.0.1.1\\n"}, DNSSEC-signed if wanted; its port on 127.0.0.1."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    text = (f"server:\n  rundir: {directory}\n  listen: 127.0.0.1@{port}\n"
            f"database:\n  storage: {directory}\nlog:\n- target: stderr\n  any: error\n"
            "policy:\n- id: one-key\n  single-type-signing: on\nzone:\n")
    for name, records in zones.items():
        file = directory / f"{name}.zone"
        file.write_text(f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n{records}")
        text += f"- domain: {name}\n  file: {file}\n  journal-content: none\n  zonefile-sync: -1\n"
        if signed:
            text += "  dnssec-signing: on\n  dnssec-policy: one-key\n"
    conf = directory / "knot.conf"
    conf.write_text(text)
    with running([need("knotd"), "-c", str(conf)], stderr=open(directory / "knot.log", "ab")) as process:
        def answers():
            assert process.poll() is None, (directory / "knot.log").read_text()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(0.2)
                name = next(iter(zones))
                question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"
                s.sendto(b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0" + question + b"\0\x06\0\x01", ("127.0.0.1", port))
                try:
                    return s.recv(512)[3] & 15 == 0
                except OSError:
                    return False
        wait_for(answers, 10, "knot answers")
        yield port


class Authority:
    """An authority for certificates; `roots` is what trusts it."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.roots = self.directory / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem")

    def openssl(self, *arguments):
        subprocess.run([need("openssl"), *arguments], cwd=self.directory, check=True, capture_output=True, timeout=60)

    def issue(self, *names, days=10):
        """(chain, key) of a certificate for the names; days < 0: it has expired."""
        stem = f"{names[0]}.{days}"
        alternatives = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
        (self.directory / f"{stem}.ext").write_text(f"subjectAltName={alternatives}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={names[0]}",
                     "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        self.openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", str(days), "-extfile", f"{stem}.ext", "-out", f"{stem}.pem")
        return self.directory / f"{stem}.pem", self.directory / f"{stem}.key"

    def server(self, *names, days=10):
        """What a TLS server of Python's shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*names, days=days))
        return context


class Hop:
    """A scripted next hop: an SMTP server whose replies, delays and manners a test decides.

    replies: {"RCPT": "451 4.7.1 greylisted"} or a function (hop, verb, line, state) -> reply, or None for the standard one.
    """

    def __init__(self, host="127.0.0.1", port=0, replies=None, extensions=("PIPELINING", "8BITMIME", "SIZE", "DSN"),
                 delay=None, lmtp=False, banner="220 hop ESMTP", tls=None, shake=None):
        """tls: an ssl.SSLContext, STARTTLS is offered; shake: done with the socket in place of the handshake."""
        self.tls, self.shake = tls, shake
        self.replies, self.extensions, self.delay, self.lmtp = replies or {}, extensions, delay or {}, lmtp
        self.banner = banner
        self.messages = []      # (sender, [recipients], content)
        self.secured = []       # likewise whether it came over TLS
        self.names = []         # server names asked for
        self.lines = []         # (connection, line)
        self.times = []
        self.connections = 0
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        self.stopping = False
        hop = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                hop.serve(self)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_):
                pass
        if tls:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        self.server = Listener((host, port), Handler)
        self.host, self.port = self.server.server_address
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def serve(self, handler):
        with self.lock:
            self.connections += 1
            number = self.connections
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            self.converse(handler, number)
        except OSError:
            pass
        finally:
            with self.lock:
                self.open -= 1

    def converse(self, handler, number):
        def say(text):
            handler.wfile.write(text.encode("utf-8", "surrogateescape") + b"\r\n")

        def start_tls():
            handler.wfile.flush()
            if self.shake:
                time.sleep(0.1)  # else it comes with the reply to STARTTLS, which is another matter
                self.shake(handler.connection)
                return False
            handler.connection = self.tls.wrap_socket(handler.connection, server_side=True)
            handler.rfile, handler.wfile = handler.connection.makefile("rb"), handler.connection.makefile("wb", 0)
            return True

        say(self.banner)
        state = {"sender": None, "recipients": [], "number": number}
        while line := handler.rfile.readline():
            text = line.decode(errors="surrogateescape").rstrip("\r\n")
            verb = text.split(" ")[0].split(":")[0].upper()
            with self.lock:
                self.lines.append((number, text))
            if verb in self.delay:
                time.sleep(self.delay[verb])
            reply = self.replies(self, verb, text, state) if callable(self.replies) else self.replies.get(verb)
            if reply == "close":
                return
            if verb in ("EHLO", "LHLO") and reply is None:
                secured = isinstance(handler.connection, ssl.SSLSocket)
                words = ["hop"] + list(self.extensions) + (["STARTTLS"] if self.tls and not secured else [])
                reply = "\r\n".join(f"250{'-' if i < len(words) - 1 else ' '}{w}" for i, w in enumerate(words))
            elif verb == "STARTTLS" and reply is None and self.tls:
                say("220 2.0.0 go")
                if not start_tls():
                    return
                continue
            elif verb == "MAIL":
                state["secured"] = isinstance(handler.connection, ssl.SSLSocket)
                reply = reply or "250 2.1.0 Ok"
                state.update(sender=None, recipients=[])
                if reply[0] == "2":
                    state.update(sender=text[10:].split(">")[0].lstrip("<"), recipients=[], mail=text)
            elif verb == "RCPT":
                reply = reply or ("503 5.5.1 MAIL first" if state["sender"] is None else "250 2.1.5 Ok")
                if reply[0] == "2":
                    state["recipients"].append(text[8:].split(">")[0].lstrip("<"))
            elif verb == "DATA":
                reply = reply or ("354 go" if state["recipients"] else "554 5.5.1 no valid recipients")
                if reply[0] == "3":
                    say(reply)
                    content = b""
                    while (l := handler.rfile.readline()) not in (b".\r\n", b""):
                        content += l[1:] if l.startswith(b".") else l
                    if not l:
                        return
                    reply = self.end(state, content)
            elif verb == "BDAT":
                _, size, *last = text.split()
                state["bdat"] = state.get("bdat", b"") + handler.rfile.read(int(size))
                reply = reply or ("250 2.0.0 Ok" if state["recipients"] else "503 5.5.1 no valid recipients")
                if last:
                    content = state.pop("bdat")
                    reply = self.end(state, content) if reply[0] == "2" else reply
            elif verb == "RSET":
                state.update(sender=None, recipients=[])
            elif verb == "QUIT":
                say(reply or "221 2.0.0 Bye")
                return
            if reply == "close":
                return
            say(reply or "250 2.0.0 Ok")

    def end(self, state, content):
        reply = self.replies(self, "END", "", state) if callable(self.replies) else self.replies.get("END")
        if reply is None or reply.startswith("2"):
            with self.lock:
                self.messages.append((state["sender"], state["recipients"], content))
                self.secured.append(state.get("secured", False))
                self.times.append(time.monotonic())
        reply = reply or "250 2.0.0 Ok: taken"
        if self.lmtp:
            return "\r\n".join([reply] * len(state["recipients"]))
        return reply

    def wait(self, count=1, timeout=10):
        wait_for(lambda: len(self.messages) >= count, timeout, f"{count} messages at the hop")
        return self.messages

    def commands(self, verb):
        return [l for _, l in self.lines if l.upper().startswith(verb)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Blackhole:
    """An address at which connecting hangs: its backlog is full and nobody accepts."""

    def __init__(self, host="127.0.0.1", port=0):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(0)
        self.host, self.port = self.socket.getsockname()
        self.fillers = []
        for _ in range(8):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((self.host, self.port))
            self.fillers.append(s)
        time.sleep(0.1)

    def close(self):
        for s in self.fillers:
            s.close()
        self.socket.close()
