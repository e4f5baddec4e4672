"""The dialogues of tests/dialog (its README tells the format), over loopback against the real server."""
import pathlib
import re
import socket

import pytest

HERE = pathlib.Path(__file__).resolve().parent.parent / "dialog"
# A real server takes no `message` limit under 64k (RFC 5321 4.5.3.1.7): those files run in process alone.
FILES = [f for f in sorted(HERE.glob("*.smtp")) if "! message" not in f.read_text(errors="replace")]
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


def unescape(text):
    """(octets, whether a CRLF follows)."""
    out, line_end, i = b"", True, 0
    while i < len(text):
        if text[i] != "\\":
            out += text[i].encode("utf-8", "surrogateescape")
            i += 1
        elif i + 1 == len(text):
            line_end, i = False, i + 1
        elif text[i + 1] == "x":
            out += bytes([int(text[i + 2:i + 4], 16)])
            i += 4
        else:
            out += ESCAPES[text[i + 1]]
            i += 2
    return out, line_end


def parse(file):
    options, steps = {}, []
    for line in file.read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        if not line or line.startswith("#"):
            continue
        mark, text = re.match(r"(!|>|<\*|<|=) ?(.*)", line, re.S).groups()
        if mark == "!":
            name, value = text.split(" ", 1)
            options[name] = value
        elif mark == ">":
            octets, line_end = unescape(text)
            octets += b"\r\n" if line_end else b""
            if steps and steps[-1][0] == ">":
                steps[-1][1] += octets
            else:
                steps.append([">", octets])
        elif mark != "=":
            steps.append([mark, text if text == "[closed]" else unescape(text)[0].decode(errors="surrogateescape")])
    return options, steps


def users():
    """Everyone these files write to, but nobody."""
    names = set()
    for file in FILES:
        for _, octets in (s for s in parse(file)[1] if s[0] == ">"):
            text = octets.decode(errors="replace")
            for local in re.findall(r"(?i)RCPT TO: ?<?(?:@[^:>]*:)?([^\s@<>\"\\:]+)@example\.com", text):
                names.add(local.lower())
    return sorted(names - {"nobody"})


def configuration(options):
    listener = ""
    for name, value in options.items():
        if name == "normalize":
            listener += "  bare_newline = normalize\n"
        elif name == "data_end":
            listener += f'  data_end = "{value}"\n'
        elif name.startswith("replies."):
            value = value.replace("\\", "\\\\").replace('"', '\\"')
            listener += f'  replies {{ {name[8:]} = "{value}" }}\n'
    limits = "".join(f"  {name} = {options[name]}\n" for name in ("errors", "message") if name in options)
    names = ", ".join(f'"{u}"' for u in users())
    return listener, (f"limits {{\n{limits}}}\nrelay_from = []\n"
                      f'domain "example.com" {{ users = [{names}] }}\n')


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """One server for each set of options."""
    from harness import Server, free_port
    made = {}

    def get(options):
        key = tuple(sorted(options.items()))
        if key not in made:
            listener, rest = configuration(options)
            port = free_port()
            server = Server(tmp_path_factory.mktemp("dialog"), port=port, listen=False,
                            config=f'listen mx {{\n  bind = ["127.0.0.1:{port}"]\n{listener}}}\n{rest}')
            made[key] = server.start()
        return made[key]
    yield get
    for server in made.values():
        server.stop()


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.buffer = b""
        self.ended = False

    def line(self):
        while b"\r\n" not in self.buffer and not self.ended:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            self.ended = not more
            self.buffer += more
        if not self.buffer:
            return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode(errors="surrogateescape")


def fits(line, wanted):
    return line is not None and (line.startswith(wanted[:-3]) if wanted.endswith("...") else line == wanted)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_dialog(file, servers):
    options, steps = parse(file)
    server = servers(options)
    client = Client(server.port)
    skipping = None
    for mark, text in steps:
        if mark == ">":
            client.socket.sendall(text)
        elif mark == "<*":
            skipping = text
        elif text == "[closed]":
            assert client.line() is None
        else:
            line = client.line()
            while skipping is not None and line is not None and not fits(line, text) and line.startswith(skipping):
                line = client.line()
            skipping = None
            assert fits(line, text), f"{line!r} instead of {text!r}"
    client.socket.close()


def test_there_are_dialogues():
    assert len(FILES) > 50
