"""Real next hops, each an instance of its own: Postfix, Dovecot's LMTP, smtp-sink; and meddlers on the wire."""
import contextlib
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time

from harness import Maildir, free_port, need, running, wait_for

NOBODY = 65534
POSTFIX_DAEMONS = "/usr/lib/postfix/sbin"


@contextlib.contextmanager
def public_directory():
    """One that the users of other programs may enter (pytest's own are closed to them)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rockdove-peer-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def answers(port, host="127.0.0.1"):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((host, port)) == 0


# ---- Postfix --------------------------------------------------------------------------------------

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 1 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
tlsmgr    unix  - - n 1000? 1 tlsmgr
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_recipient_limit = 20
local_header_rewrite_clients =
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy}, permit_mynetworks, reject
relayhost = [127.0.0.1]:{relay}
virtual_mailbox_domains = post.test
virtual_mailbox_maps = inline:{{ {users} }}
virtual_mailbox_base = {directory}/mail
virtual_mailbox_limit = 0
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
message_size_limit = 300000
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"""


class Policy(socketserver.ThreadingTCPServer):
    """A Postfix policy service that greylists, as postgrey does: the first attempt for a recipient is put off."""
    allow_reuse_address = daemon_threads = True

    def __init__(self):
        self.seen = {}
        policy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                asked = {}
                for line in self.rfile:
                    name, found, value = line.decode().rstrip("\n").partition("=")
                    if found:
                        asked[name] = value
                        continue
                    recipient, asked = asked.get("recipient", ""), {}
                    policy.seen[recipient] = policy.seen.get(recipient, 0) + 1
                    put_off = recipient.startswith("grey") and policy.seen[recipient] == 1
                    action = "450 4.7.1 Greylisted, please come back" if put_off else "DUNNO"
                    self.wfile.write(f"action={action}\n\n".encode())
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Postfix:
    """A running instance; `users` of post.test have Maildirs, what it does not know goes to `relay_port`."""

    def __init__(self, directory, port, relay_port, policy):
        self.directory, self.port, self.relay_port, self.policy = directory, port, relay_port, policy

    def mailbox(self, user):
        return Maildir(self.directory / "mail" / user)

    def log(self):
        file = self.directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def sendmail(self, sender, recipients, content, *options):
        subprocess.run([need("sendmail"), "-C", str(self.directory / "etc"), "-i", *options, "-f", sender, *recipients],
                       input=content, check=True, capture_output=True, timeout=30)


# A name server of its own for a program and all that it starts: resolv.conf knows no ports.
WITH_RESOLVER = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']


@contextlib.contextmanager
def postfix(users, more="", resolver=None):
    """more: lines of main.cf; resolver: the address of the name server it is to ask, on port 53."""
    need("postfix")
    with public_directory() as directory, Policy() as policy:
        port, relay = free_port(), free_port()
        for name in ("etc", "queue", "data", "mail"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        os.chown(directory / "mail", NOBODY, NOBODY)
        # What is set twice is warned of, and postlogd, which would take that, does not start for it.
        again = {line.split("=")[0].strip() for line in more.splitlines()}
        main = "".join(line + "\n" for line in MAIN.splitlines() if line.split("=")[0].strip() not in again)
        (directory / "etc" / "main.cf").write_text(main.format(
            directory=directory, daemons=POSTFIX_DAEMONS, policy=policy.port, relay=relay, nobody=NOBODY,
            users=", ".join(f"{{ {u}@post.test = {u}/ }}" for u in users)) + more)
        wrapper = []
        if resolver:
            (directory / "resolv.conf").write_text(f"nameserver {resolver}\noptions edns0 trust-ad\n")
            wrapper = [*WITH_RESOLVER, str(directory / "resolv.conf")]
        (directory / "etc" / "master.cf").write_text(MASTER.format(port=port))
        subprocess.run([need("postfix"), "-c", str(directory / "etc"), "check"], check=True, capture_output=True, timeout=60)
        # A session of its own: a leaving master signals its process group.
        with running([*wrapper, POSTFIX_DAEMONS + "/master", "-c", str(directory / "etc"), "-s"], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            wait_for(lambda: answers(port), 20, "Postfix answers")
            yield Postfix(directory, port, relay, policy)
        policy.shutdown()


# ---- Dovecot --------------------------------------------------------------------------------------

DOVECOT = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:{directory}/mail/%n
mail_plugins = quota
lmtp_rcpt_check_quota = no
recipient_delimiter = +
postmaster_address = postmaster@dove.test
plugin {{
  quota = maildir:User quota
}}
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {directory}/users
}}
service lmtp {{
  unix_listener {directory}/lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    def __init__(self, directory, port):
        self.directory, self.port, self.socket = directory, port, directory / "lmtp"

    def mailbox(self, user):
        return Maildir(self.directory / "mail" / user)


@contextlib.contextmanager
def dovecot(users, full=(), port=None):
    """LMTP on a socket and on a port; the mailboxes of `full` are over their quota after DATA."""
    with public_directory() as directory:
        port = port or free_port()
        (directory / "mail").mkdir()
        os.chown(directory / "mail", NOBODY, NOBODY)
        (directory / "users").write_text("".join(
            f"{u}::{NOBODY}:{NOBODY}::{directory}/mail/{u}::{'userdb_quota_rule=*:bytes=10' if u in full else ''}\n"
            for u in [*users, *full]))
        (directory / "conf").write_text(DOVECOT.format(directory=directory, port=port))
        with running([need("dovecot"), "-F", "-c", str(directory / "conf")], stderr=subprocess.DEVNULL):
            wait_for(lambda: answers(port), 20, "Dovecot answers")
            yield Dovecot(directory, port)


DOVECOT_AUTH = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
protocols =
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {directory}/passwords
}}
userdb {{
  driver = static
  args = uid={nobody} gid={nobody} home=/nonexistent
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


@contextlib.contextmanager
def dovecot_auth(passwords, mechanisms="plain login scram-sha-1 scram-sha-256"):
    """Dovecot as the one who checks logins for another server: the path of its socket."""
    with public_directory() as directory:
        (directory / "passwords").write_text("".join(f"{name}:{{PLAIN}}{word}\n" for name, word in passwords.items()))
        (directory / "conf").write_text(DOVECOT_AUTH.format(directory=directory, mechanisms=mechanisms, nobody=NOBODY))
        with running([need("dovecot"), "-F", "-c", str(directory / "conf")], stderr=subprocess.DEVNULL):
            wait_for((directory / "auth").exists, 20, "Dovecot answers")
            yield directory / "auth"


# ---- smtp-sink ------------------------------------------------------------------------------------

@contextlib.contextmanager
def sink(directory, *options, port=None):
    """Postfix's smtp-sink with its fault options; it writes each message it took to a file of its own."""
    directory = pathlib.Path(directory)
    directory.mkdir(exist_ok=True)
    directory.chmod(0o777)
    port = port or free_port()
    with running([need("smtp-sink"), "-u", "nobody", "-d", str(directory / "taken."), *options, f"127.0.0.1:{port}", "256"],
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        wait_for(lambda: answers(port), 10, "smtp-sink answers")
        yield port


def taken(directory):
    """Contents of the messages that smtp-sink has acknowledged or was given (it writes while it reads)."""
    return [f.read_bytes() for f in pathlib.Path(directory).iterdir() if f.name.startswith("taken.")]


# ---- on the wire ----------------------------------------------------------------------------------

class Wire:
    """Passes a TCP port on, and remembers what the client sent, piece by piece as it came."""

    def __init__(self, port):
        self.pieces = []
        wire = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(("127.0.0.1", port)) as hop:
                    threading.Thread(target=wire.pump, args=(hop, self.request, None), daemon=True).start()
                    wire.pump(self.request, hop, wire.pieces)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.host, self.port = self.server.server_address
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def pump(source, to, record):
        try:
            while piece := source.recv(65536):
                if record is not None:
                    record.append(piece)
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def sent(self):
        return b"".join(self.pieces)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class DnsMeddler:
    """Stands between a resolver and a DNS server: `meddle(answer)` gives the answer to pass on, or None to lose it."""

    def __init__(self, port, meddle=lambda answer: answer, address=("127.0.0.1", 0)):
        self.port_behind, self.meddle, self.questions = port, meddle, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.port = self.socket.getsockname()[1]
        self.stopping = False
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                question, client = self.socket.recvfrom(4096)
            except OSError:
                return
            if self.stopping:
                return
            self.questions += 1
            threading.Thread(target=self.ask, args=(question, client), daemon=True).start()

    def ask(self, question, client):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            try:
                s.sendto(question, ("127.0.0.1", self.port_behind))
                answer = self.meddle(s.recv(65536))
                if answer is not None and not self.stopping:
                    self.socket.sendto(answer, client)
            except OSError:
                pass

    def close(self):
        self.stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.socket.getsockname())
        time.sleep(0.05)
        self.socket.close()
