"""What the whole-server tests share: the real binary, raw conversations, and a look at what arrived."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("ROCKDOVE", str(ROOT / "build" / "rockdove"))


def free_port(host="127.0.0.1"):
    """A port that is free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind((host, 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind((host, port))
            except OSError:
                continue
            return port


class Unexpected(AssertionError):
    """A reply that is not what a test wants."""

    def __init__(self, reply):
        super().__init__(reply)
        self.reply = reply


def wait_for(what, timeout=10.0, why="condition"):
    """Poll `what` until it is true; its value, or a failure that names `why`."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {why}")
        time.sleep(0.01)


class Server:
    """One `rockdove serve` with a state directory and a configuration of its own."""

    def __init__(self, directory, config="", port=None, hostname="mail.example.com", listen=True):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state = self.directory / "state"
        self.port = port or free_port()
        self.hostname = hostname
        self.listen = listen
        self.file = self.directory / "rockdove.conf"
        self.log_path = self.directory / "log"
        self.process = None
        self.wrapper = []       # a command to run the server under
        self.configure(config)

    def configure(self, config):
        text = f'hostname = "{self.hostname}"\nstate = "{self.state}"\n'
        if os.geteuid() == 0 and "user =" not in config:
            text += 'user = "root"\n'  # temporary directories are out of another's reach
        if self.listen:
            text += f'listen mx {{ bind = ["127.0.0.1:{self.port}"] }}\n'
        if "http" not in config:
            text += 'http { bind = "" }\n'
        self.file.write_text(text + config)

    def start(self, wait=True, **kwargs):
        assert self.process is None
        self.log_file = open(self.log_path, "ab")
        before = self.log_path.stat().st_size
        self.process = subprocess.Popen(
            [*self.wrapper, BINARY, "serve", "-c", str(self.file)], stdin=subprocess.DEVNULL, stderr=self.log_file, **kwargs)
        if wait:
            def ready():
                if self.process.poll() is not None:
                    raise AssertionError(f"server left with {self.process.returncode}:\n{self.log()}")
                return b"ready" in self.log_path.read_bytes()[before:]
            wait_for(ready, 20, "server is ready")
        return self

    def stop(self, sig=signal.SIGTERM, timeout=30):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(timeout)
        self.process = None
        self.log_file.close()
        return code

    def kill(self):
        self.stop(signal.SIGKILL)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, *words, timeout=10, count=1):
        """The first log line that holds all the words."""
        def find():
            lines = [l for l in self.log().splitlines() if all(w in l for w in words)]
            return lines[count - 1] if len(lines) >= count else None
        try:
            return wait_for(find, timeout, f"log line with {words}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None

    def run(self, *arguments, **kwargs):
        """A sub-command with this server's configuration."""
        return run(*arguments, "-c", str(self.file), **kwargs)

    def queue(self):
        return json.loads(self.run("queue", "list", "--json", check=True).stdout)

    def talk(self, **kwargs):
        return Talk(self.port, **kwargs)

    def rss_kib(self):
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1])

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mailbox(self, user, domain=None):
        return Maildir(self.state / "mail" / (domain or self.hostname) / user)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Stop, and leave the log and what was delivered, but not the spool: hundreds of them would fill the disk."""
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.state / "spool", ignore_errors=True)


def run(*arguments, check=False, timeout=60, **kwargs):
    result = subprocess.run([BINARY, *arguments], capture_output=True, timeout=timeout, **kwargs)
    if check:
        assert result.returncode == 0, (arguments, result.returncode, result.stdout, result.stderr)
    return result


class Maildir:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def files(self):
        return sorted((self.path / "new").iterdir()) if (self.path / "new").exists() else []

    def messages(self):
        return [f.read_bytes() for f in self.files()]

    def wait(self, count=1, timeout=10):
        wait_for(lambda: len(self.files()) >= count, timeout, f"{count} messages in {self.path}")
        return self.messages()


class Talk:
    """A conversation by hand: octets go out as they are, whole replies come back."""

    def __init__(self, port, host="127.0.0.1", banner=True, timeout=10):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.buffer = b""
        self.banner = self.reply() if banner else None

    def send(self, octets):
        self.socket.sendall(octets.encode() if isinstance(octets, str) else octets)

    def line(self):
        while b"\n" not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(f"closed by the server; left over: {self.buffer!r}")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def reply(self):
        """One reply, its lines joined by LF."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def ask(self, command):
        self.send(command + "\r\n")
        return self.reply()

    def mail(self, recipients, content=b"Subject: test\r\n\r\nhello\r\n", sender="sender@example.org", helo="client.test"):
        """A whole transaction; the reply to the final dot."""
        self.expect(f"EHLO {helo}", "250")
        self.expect(f"MAIL FROM:<{sender}>", "250")
        for r in [recipients] if isinstance(recipients, str) else recipients:
            self.expect(f"RCPT TO:<{r}>", "250")
        self.expect("DATA", "354")
        content = content.encode() if isinstance(content, str) else content
        stuffed = b"\r\n".join(b"." + l if l.startswith(b".") else l for l in content.split(b"\r\n"))
        self.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.reply()

    def expect(self, command, code):
        reply = self.ask(command)
        if not reply.startswith(code):
            raise Unexpected(reply)
        return reply

    def closed(self, timeout=5):
        """Whether the server has closed (what it still says is read)."""
        self.socket.settimeout(timeout)
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    return True
                self.buffer += more
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def queued_id(reply):
    assert reply.startswith("250 2.0.0 Ok: queued as "), reply
    return reply.rsplit(" ", 1)[1]


def need(program):
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert path, f"{program} is missing; ./dev test installs it"
    return path


@contextlib.contextmanager
def running(arguments, **kwargs):
    """A program of ours that is ended, by its id, at the end."""
    process = subprocess.Popen(arguments, **kwargs)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
