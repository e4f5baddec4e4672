"""What drives the servers."""

import json
import resource
import selectors
import signal
import socket
import ssl
import subprocess
import threading
import time

from process import finish, spawn

SENDER, RECIPIENT = "a@src.test", "b@dst.test"


class Refused(Exception):
    """The load did not get through as a whole: no figure can come of it."""


def smtp_source(port, connections, messages, size, keep=True, recipient=RECIPIENT, patience=120):
    """Postfix's smtp-source.  keep: all messages of a session over one connection.  Seconds it took."""
    command = ["/usr/sbin/smtp-source", "-4", "-M", "load.test", "-s", str(connections), "-m", str(messages),
               "-l", str(size), "-f", SENDER, "-t", recipient]
    if keep:
        command.append("-d")
    began = time.monotonic()
    process = spawn([*command, f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _end(process, patience)
    return time.monotonic() - began


def _end(process, patience):
    """What it printed, when it went well."""
    try:
        out, said = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        finish(process, signal.SIGKILL)
        raise Refused(f"not done within {patience} s") from None
    if finish(process) != 0:
        raise Refused(said.decode(errors="replace").strip()[-200:])
    return out


def _printed(command, patience):
    return json.loads(_end(spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE), patience))


def pipeline(bench, port, connections, messages, size, recipient=RECIPIENT, window=0, patience=300):
    """bench/pipeline.c.  What it printed."""
    return _printed([bench.tool("pipeline"), f"127.0.0.1:{port}", str(connections), str(messages), str(size),
                     SENDER, recipient, str(window)], patience)


def tls(bench, *arguments, patience=300, nice=0):
    """bench/tls.c.  What it printed."""
    command = [bench.tool("tls"), *map(str, arguments)]
    if nice:
        command = ["nice", "-n", str(nice), *command]
    return _printed(command, patience)


def raw_sync(bench, seconds):
    """bench/rawsync.c: what the disk alone can do."""
    process = spawn([bench.tool("rawsync"), bench.work + "/raw", str(seconds), "4096"], stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60 + seconds)
    if finish(process) != 0:
        raise RuntimeError("bench-rawsync failed")
    return json.loads(out)


class Peak(threading.Thread):
    """with Peak(group) as peak: ...; then peak.octets is the most memory seen."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.octets, self.over = group, 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def run(self):
        while True:
            self.octets = max(self.octets, self.group.memory())
            if self.over.wait(0.2):
                return

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.octets = max(self.octets, self.group.memory())


def until(reached, count, patience):
    """Wait until reached() is count.  When it was (monotonic)."""
    end, most, moved = time.monotonic() + patience, 0, time.monotonic()
    while True:
        now, at = reached(), time.monotonic()
        if now >= count:
            return at
        if now > most:
            most, moved = now, at
        if at > end or at - moved > 30:
            raise Refused(f"{most} of {count} arrived")
        time.sleep(0.002)


# ---- idle connections --------------------------------------------------------------------------


def _last_line(sock):
    """The last line of one reply."""
    got = b""
    while True:
        octets = sock.recv(4096)
        if not octets:
            raise Refused("closed: " + got.decode(errors="replace"))
        got += octets
        line = got.rstrip().split(b"\n")[-1]
        if got.endswith(b"\n") and line[3:4] != b"-":
            return line


def open_idle(port, count):
    """count connections that have said EHLO, in steps of 100."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count + 100:
        raise Refused(f"fewer than {count} open files allowed")
    all_of_them = []
    try:
        while len(all_of_them) < count:
            batch = []
            for _ in range(min(100, count - len(all_of_them))):
                batch.append(socket.create_connection(("127.0.0.1", port), 20))
                all_of_them.append(batch[-1])
            for command in (b"", b"EHLO load.test\r\n"):
                for sock in batch:
                    if command:
                        sock.sendall(command)
                for sock in batch:
                    line = _last_line(sock)
                    if not line.startswith(b"2"):
                        raise Refused(line.decode(errors="replace"))
    except BaseException:
        close_all(all_of_them)
        raise
    return all_of_them


def open_idle_tls(port, count):
    """count connections that have said EHLO, STARTTLS, and EHLO again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    all_of_them = open_idle(port, count)
    try:
        for i, sock in enumerate(all_of_them):
            sock.sendall(b"STARTTLS\r\n")
            if not _last_line(sock).startswith(b"220"):
                raise Refused("STARTTLS is refused")
            all_of_them[i] = secured = context.wrap_socket(sock)
            secured.sendall(b"EHLO load.test\r\n")
            if not _last_line(secured).startswith(b"250"):
                raise Refused("EHLO is refused")
    except BaseException:
        close_all(all_of_them)
        raise
    return all_of_them


def close_all(socks):
    for sock in socks:
        sock.close()


# ---- from 250 to the next hop ------------------------------------------------------------------


class Hop:
    """A client and the next hop in one loop, so that one clock sees both sides of the server."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.first = None       # when the first octet about the present message came
        self.ended = 0          # messages that the hop has got
        self.content = {}       # peers within DATA: what ends it so far
        self.opened = 0

    def close(self):
        for key in list(self.selector.get_map().values()):
            self.selector.unregister(key.fileobj)
            key.fileobj.close()
        self.selector.close()

    def _accept(self, _):
        peer, _ = self.listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(b"220 hop.test ESMTP\r\n")
        self.opened += 1
        self.selector.register(peer, selectors.EVENT_READ, self._talk)

    def _talk(self, peer):
        at = time.perf_counter()
        octets = peer.recv(65536)
        if not octets:
            self.selector.unregister(peer)
            self.content.pop(peer, None)
            peer.close()
            return
        if self.first is None and octets[:4].upper() in (b"MAIL", b"EHLO", b"HELO"):
            self.first = at
        replies = b""
        while octets:
            if peer in self.content:
                octets = self.content[peer] + octets
                end = octets.find(b"\r\n.\r\n")
                if end < 0:
                    self.content[peer] = octets[-4:]
                    break
                del self.content[peer]
                self.ended += 1
                replies += b"250 2.0.0 Ok\r\n"
                octets = octets[end + 5:]
                continue
            line, _, octets = octets.partition(b"\r\n")
            verb = line[:4].upper()
            if verb == b"DATA":
                self.content[peer] = b"\r\n"
                replies += b"354 Go on\r\n"
            elif verb == b"EHLO":
                replies += b"250-hop.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
            else:
                replies += b"221 Bye\r\n" if verb == b"QUIT" else b"250 2.0.0 Ok\r\n"
        peer.sendall(replies)

    def _turn(self, patience):
        ready = self.selector.select(patience)
        if not ready:
            raise Refused("nothing came to the next hop")
        for key, _ in ready:
            key.data(key.fileobj)

    def latencies(self, port, messages, size=4096):
        """For each message: seconds from reading 250 to the first octet at the next hop.  Less than 0: it came before."""
        client = socket.create_connection(("127.0.0.1", port), 20)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _last_line(client)
        client.sendall(b"EHLO load.test\r\n")
        _last_line(client)
        content = b"Subject: one\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72) + b".\r\n"
        answered = [None]

        def answer(sock):
            at = time.perf_counter()
            if not _last_line(sock).startswith(b"250"):
                raise Refused("the message was refused")
            answered[0] = at
        found = []
        for n in range(messages):
            client.sendall(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode())
            got = b""
            while b"354" not in got:
                got += client.recv(4096)
            self.first, answered[0] = None, None
            self.selector.register(client, selectors.EVENT_READ, answer)
            client.sendall(content)
            while self.ended <= n or answered[0] is None:
                self._turn(60)
            self.selector.unregister(client)
            found.append(self.first - answered[0])
            time.sleep(0.01)
        client.close()
        return found
