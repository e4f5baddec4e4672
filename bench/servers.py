"""The servers that are compared.  Each: start(), stop(), port, group; a directory of its own."""

import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from process import Group, finish, free_port, spawn

POSTFIX_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup     unix  n - n 60 1 pickup
cleanup    unix  n - n - 0 cleanup
qmgr       unix  n - n 300 1 qmgr
rewrite    unix  - - n - - trivial-rewrite
bounce     unix  - - n - 0 bounce
defer      unix  - - n - 0 bounce
trace      unix  - - n - 0 bounce
verify     unix  - - n - 1 verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n - - proxymap
proxywrite unix  - - n - 1 proxymap
smtp       unix  - - n - - smtp
relay      unix  - - n - - smtp
showq      unix  n - n - - showq
error      unix  - - n - - error
retry      unix  - - n - - error
discard    unix  - - n - - discard
anvil      unix  - - n - 1 anvil
scache     unix  - - n - 1 scache
postlog    unix-dgram n - n - 1 postlogd
"""

# As shipped, but for: no DNS, no TLS, no look-up of client names, logging to a file by postlogd, and
# in_flow_delay (the queue manager never sees held mail, so the delay would only throttle).
POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {top}/queue
data_directory = {top}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
disable_dns_lookups = yes
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
maillog_file_prefixes = {top}
maillog_file = {top}/log
in_flow_delay = 0
relayhost = [127.0.0.1]:{next_hop}
"""


def banner(port, patience=60):
    """Wait for 220 on the port.  Seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.settimeout(patience)
                if s.recv(512).startswith(b"220"):
                    took = time.monotonic() - began
                    s.sendall(b"QUIT\r\n")
                    s.recv(512)
                    return took
        except OSError:
            time.sleep(0.002)
    raise RuntimeError(f"nothing says 220 on port {port}")


class Server:
    name = "?"
    durable = False

    def __init__(self, bench):
        self.bench = bench
        self.port = free_port()
        self.top = tempfile.mkdtemp(prefix=self.name.replace(" ", "-") + ".", dir=bench.work)
        os.chmod(self.top, 0o755)
        self.group = None
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.top, ignore_errors=True)

    def start(self):
        self.group = Group()
        self.launch()
        return banner(self.port)

    def launch(self):
        raise NotImplementedError

    def stop(self, sig=signal.SIGTERM):
        if self.process:
            finish(self.process, sig)
            self.process = None
        if self.group:
            self.group.end()
            self.group = None

    def settle(self, patience=10):
        """Wait until it has nothing more to do."""
        end, before = time.monotonic() + patience, self.group.cpu()
        while time.monotonic() < end:
            time.sleep(0.5)
            now = self.group.cpu()
            if now - before < 0.01:
                return
            before = now


class Rockdove(Server):
    name = "rockdove"
    durable = True

    def __init__(self, bench, next_hop=None, connections=20, more="", tls="off"):
        super().__init__(bench)
        self.next_hop = next_hop or free_port()  # nobody listens there: it is refused, and mail waits
        self.file = self.top + "/rockdove.conf"
        with open(self.file, "w") as f:
            f.write(f"""\
hostname = "bench.test"
state = "{self.top}/state"
listen mx {{ bind = ["127.0.0.1:{self.port}"], tls = {tls} }}
relay_from = ["127.0.0.0/8"]
route "*" {{
  to = "smtp:127.0.0.1:{self.next_hop}", tls = off, allow_loopback = true
  connections = {connections}
}}
limits {{ connections = 20000, connections_per_client = 20000 }}
http {{ bind = "" }}
{more}
""")

    def launch(self):
        with open(self.top + "/log", "ab") as log:
            self.process = spawn([self.bench.rockdove, "serve", "-c", self.file], self.group,
                                 stdout=log, stderr=log)

    def command(self, *arguments):
        return subprocess.run([self.bench.rockdove, *arguments, "-c", self.file], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)

    def first_id(self):
        """Of the first message that was accepted."""
        with open(self.top + "/log", errors="replace") as log:
            for line in log:
                found = re.search(r"event=accepted id=(\w+)", line)
                if found:
                    return found.group(1)
        raise RuntimeError("nothing was accepted")


class OpensslServer(Server):
    """openssl s_server with a key like rockdove's: what handshakes cost the library."""
    name = "openssl s_server"

    def __enter__(self):
        self.tls_port = self.port
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=bench.test", "-keyout", self.top + "/key", "-out", self.top + "/cert"],
                       check=True, capture_output=True, timeout=60)
        return super().__enter__()

    def start(self):
        self.group = Group()
        self.process = spawn(["openssl", "s_server", "-accept", str(self.port), "-cert", self.top + "/cert",
                              "-key", self.top + "/key", "-tls1_3", "-quiet", "-no_cache", "-num_tickets", "1"],
                             self.group, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return 0
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("openssl s_server does not listen")


class Postfix(Server):
    name = "Postfix"
    durable = True

    def __init__(self, bench, next_hop=9, hold=False, process_limit=None):
        super().__init__(bench)
        os.makedirs(self.top + "/etc")
        os.makedirs(self.top + "/queue")
        os.makedirs(self.top + "/data")
        shutil.chown(self.top + "/data", "postfix")
        self.config = self.top + "/etc"
        with open(self.config + "/main.cf", "w") as f:
            f.write(POSTFIX_MAIN.format(top=self.top, next_hop=next_hop))
            if hold:
                f.write("smtpd_client_restrictions = check_client_access static:HOLD\n")
            if process_limit:
                f.write(f"default_process_limit = {process_limit}\n")
        with open(self.config + "/master.cf", "w") as f:
            f.write(POSTFIX_SERVICES.format(port=self.port))

    def _postfix(self, verb, group=None):
        with open(self.top + "/out", "ab") as out:
            return finish_quietly(spawn(["/usr/sbin/postfix", "-c", self.config, verb], group,
                                        stdout=out, stderr=out))

    def launch(self):
        if self._postfix("start", self.group) != 0:
            with open(self.top + "/out") as f:
                raise RuntimeError("Postfix does not start: " + f.read()[-500:])
        with open(self.top + "/queue/pid/master.pid") as f:
            self.group.roots.append(int(f.read()))

    def stop(self, sig=signal.SIGTERM):
        if self.group:
            self._postfix("stop")
        super().stop(sig)


def finish_quietly(process):
    process.wait(60)
    return finish(process)


class Discard(Server):
    """bench/discard.c; its counter is memory that we share."""
    name = "discard"

    def __init__(self, bench, port=None, chunking=False):
        super().__init__(bench)
        self.port = port or self.port
        self.chunking = chunking
        self.counter = None

    def launch(self):
        path = self.top + "/counter"
        self.process = spawn([self.bench.tool("discard"), str(self.port), path]
                             + (["chunking"] if self.chunking else []), self.group)
        while not os.path.exists(path) or os.path.getsize(path) < 16:
            if self.process.poll() is not None:
                raise RuntimeError("bench-discard left")
            time.sleep(0.002)
        with open(path, "rb") as f:
            self.counter = mmap.mmap(f.fileno(), 16, prot=mmap.PROT_READ)

    def messages(self):
        return struct.unpack_from("=Q", self.counter)[0]

    def connections(self):
        return struct.unpack_from("=Q", self.counter, 8)[0]


class SmtpSink(Server):
    """Postfix's smtp-sink; it prints its counters as it goes."""
    name = "smtp-sink"

    def launch(self):
        fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.top
        fd, self.printed = tempfile.mkstemp(dir=fast)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = spawn(["/usr/sbin/smtp-sink", "-4", "-c", "-h", "sink.test", "-m", "2000", *user,
                              f"127.0.0.1:{self.port}", "1024"], self.group, stdout=fd,
                             stderr=subprocess.DEVNULL)
        os.close(fd)

    def messages(self):
        with open(self.printed, "rb") as f:
            f.seek(max(0, os.path.getsize(self.printed) - 200))
            found = re.findall(rb"mesg=(\d+)", f.read())
        return int(found[-1]) if found else 0

    def stop(self, sig=signal.SIGTERM):
        super().stop(sig)
        if getattr(self, "printed", None) and os.path.exists(self.printed):
            os.unlink(self.printed)
