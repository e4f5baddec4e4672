"""The drivers between protocol, spool and queue: what happens when two things happen at once."""
import contextlib
import re
import signal
import threading
import time

import pytest

from harness import Talk, free_port, queued_id, wait_for
from peers import Blackhole, dns

LOCAL = 'domain "example.com" { users = "*" }\n'


def to(*hops, more=""):
    hosts = ", ".join(f'"smtp:{h.host}:{h.port}"' for h in hops)
    return f'route "*" {{ to = [{hosts}] {more} }}\n'


def begin(t, recipient="a@example.com"):
    t.expect("EHLO client.test", "250")
    t.expect("MAIL FROM:<sender@example.org>", "250")
    t.expect(f"RCPT TO:<{recipient}>", "250")
    t.expect("DATA", "354")


# ---- receiving ----

def test_a_fault_while_the_spool_asks_to_wait_is_answered(make_server):
    """Content comes faster than it is written; what is refused then must be read to its end all the same."""
    server = make_server(LOCAL)
    line = b"x" * 998 + b"\r\n"
    for at in range(400, 2000, 80):
        with server.talk(timeout=8) as t:
            begin(t)
            data = line * at + b"bare\nlf\r\n" + line * (2000 - at) + b".\r\n"
            sender = threading.Thread(target=t.send, args=(data,), daemon=True)
            sender.start()
            assert t.reply().startswith("550 5.6.11"), at
            sender.join()
            assert t.ask("NOOP").startswith("250")


@pytest.mark.parametrize("content, code, status", [
    (b"bare\nlf\r\n.\r\n", "550", "5.6.11"), (b"nul\0\r\n.\r\n", "550", "5.6.11"),
    ((b"x" * 98 + b"\r\n") * 700 + b".\r\n", "552", "5.3.4")], ids=["bare LF", "NUL", "too large"])
def test_refused_content_is_logged_with_its_queue_id(make_server, content, code, status):
    server = make_server(LOCAL + "limits { message = 64k }\n")
    with server.talk() as t:
        begin(t)
        t.send(content)
        assert t.reply().startswith(f"{code} {status}")
    line = server.wait_log("event=refused", f"code={code}", f"status={status}", "from=sender@example.org")
    assert re.search(r" id=\w{12,}", line), line


def test_refused_chunks_are_logged_and_given_up_content_is_not(make_server):
    server = make_server(LOCAL + "limits { message = 64k }\n")
    with server.talk() as t:
        t.expect("EHLO client.test", "250")
        t.expect("MAIL FROM:<sender@example.org>", "250")
        t.expect("RCPT TO:<a@example.com>", "250")
        t.send(b"BDAT 40000\r\n" + b"x" * 39998 + b"\r\n")
        assert t.reply().startswith("250")
        t.send(b"BDAT 40000 LAST\r\n" + b"x" * 40000)
        assert t.reply().startswith("552 5.3.4")
        server.wait_log("event=refused", "status=5.3.4")
        t.expect("MAIL FROM:<gone@example.org>", "250")
        t.expect("RCPT TO:<a@example.com>", "250")
        t.expect("DATA", "354")
        t.send(b"half a message\r\n")
    with server.talk() as t:
        queued_id(t.mail("a@example.com"))
    server.mailbox("a", "example.com").wait()
    assert "gone@example.org" not in server.log()


def test_an_alias_is_taken_whole_or_not_at_all(make_server):
    """The envelope's memory ends in the middle of an alias: its first members must not get what the others do not."""
    members = ", ".join(f'"member-{i}-{"x" * 40}"' for i in range(90))
    aliases = ", ".join(f'list{i} = [{members.replace("member-", f"m{i}-")}]' for i in range(100))
    server = make_server(f'limits {{ recipients = 100 }}\ndomain "example.com" {{ users = "*", aliases {{ {aliases} }} }}\n')
    with server.talk() as t:
        t.expect("EHLO client.test", "250")
        t.expect("MAIL FROM:<sender@example.org>", "250")
        taken = [i for i in range(100) if t.ask(f"RCPT TO:<list{i}@example.com>").startswith("250")]
        assert 0 < len(taken) < 100, "the memory of an envelope is no longer what this test takes it for"
        t.expect("DATA", "354")
        t.send(b"Subject: x\r\n\r\n.\r\n")
        queued_id(t.reply())
    line = server.wait_log("event=accepted")
    assert f"recipients={90 * len(taken)} " in line


# ---- mailboxes ----

def test_a_domain_that_moves_while_a_job_is_under_way(make_server, hops):
    """Half of a message's mailboxes are written when the domain is given to LMTP: the others go there, and nowhere else."""
    hop = hops(lmtp=True)
    server = make_server(LOCAL)
    count = 600
    boxes = server.state / "mail" / "example.com"

    def written():
        return sum(1 for _ in boxes.glob("*/new/*"))

    with server.talk() as t:
        t.expect("EHLO client.test", "250")
        t.expect("MAIL FROM:<sender@example.org>", "250")
        for i in range(count):
            t.expect(f"RCPT TO:<u{i}@example.com>", "250")
        t.expect("DATA", "354")
        t.send(b"Subject: x\r\n\r\n.\r\n")
        queued_id(t.reply())
    wait_for(lambda: written() > 10, why="the first mailboxes")
    server.configure(f'domain "example.com" {{ users = "*", deliver = "lmtp:{hop.host}:{hop.port}" }}\n')
    server.reload()
    server.wait_log("reloaded")
    wait_for(lambda: server.queue() == [], 20, "the queue is empty")
    relayed = [r for _, recipients, _ in hop.messages for r in recipients]
    assert relayed and written() and len(relayed) + written() == count
    assert "event=failed" not in server.log()


def test_a_name_too_long_for_a_mailbox_is_returned(make_server):
    server = make_server('domain "example.com" { users = "*", deliver = "maildir:mail/' + "x" * 200 + '%{user}" }\n')
    with server.talk() as t:
        t.mail('"' + "/" * 60 + '"@example.com', sender="a@example.com")
    server.wait_log("event=failed", "status=5.1.3")
    server.wait_log("event=delivered", "to=a@example.com")


def test_a_message_for_many_addresses_that_have_no_mailbox(make_server):
    server = make_server(LOCAL + "limits { recipients = 5000 }\n")
    with server.talk() as t:
        t.expect("EHLO client.test", "250")
        t.expect("MAIL FROM:<>", "250")
        for i in range(70):
            t.expect(f"RCPT TO:<u{i}@example.com>", "250")
        t.send('RCPT TO:<""@example.com>\r\n' * 4000)
        assert all(t.reply().startswith("250") for _ in range(4000))
        t.expect("DATA", "354")
        t.send(b"Subject: x\r\n\r\n.\r\n")
        queued_id(t.reply())
    wait_for(lambda: server.queue() == [], 20, "the queue is empty")
    assert server.log().count("status=5.1.3") == 4000


# ---- next hops ----

def test_what_is_refused_by_rule_comes_back_at_once(make_server):
    """The return is made while the loop is about to sleep: it must not sleep on it."""
    server = make_server(LOCAL + 'route "no.test" { to = "reject:closed for good" }\n')
    slowest = 0
    with server.talk() as t:
        for i in range(5):
            time.sleep(0.5)  # nothing else goes on
            began = time.monotonic()
            t.mail("x@no.test", sender=f"a{i}@example.com")
            server.mailbox(f"a{i}", "example.com").wait()
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.2


def test_a_peer_that_takes_one_message_a_session(make_server, hops):
    hop = hops(extensions=("PIPELINING", "LIMITS MAILMAX=1"))
    server = make_server(to(hop, more=", connections = 1"))
    began = time.monotonic()
    with server.talk() as t:
        for _ in range(8):
            queued_id(t.mail("x@elsewhere.test"))
    hop.wait(8)
    assert time.monotonic() - began < 4
    assert hop.connections == 8


def test_a_silent_host_costs_one_wait_and_not_the_connection(make_server, hops, tmp_path):
    """Of two equal exchangers one never answers: the other is used again and again on few connections."""
    port = free_port()
    good = hops(host="127.0.1.1", port=port)
    hops(Blackhole, host="127.0.1.2", port=port)
    with dns(tmp_path / "dns", {"two.test": "@ MX 10 a\n@ MX 10 b\na A 127.0.1.1\nb A 127.0.1.2\n"}) as dns_port:
        server = make_server(f'dns {{ servers = ["127.0.0.1:{dns_port}"], validate = off }}\n'
                             f'route "*" {{ to = mx, port = {port}, allow_loopback = true }}\n')
        with server.talk() as t:
            for i in range(30):
                queued_id(t.mail("x@two.test"))
                good.wait(i + 1)
    assert good.connections <= 4


def test_the_next_host_is_tried_when_the_winner_of_a_race_refuses(make_server, hops):
    """Both hosts are slow to connect; the first is there a little earlier, and says no."""
    first, second, hop = hops(Blackhole), hops(Blackhole), hops()
    server = make_server(to(first, second))
    with server.talk() as t:
        queued_id(t.mail("x@elsewhere.test"))

    def accept(hole, handle):
        for filler in hole.fillers:
            filler.close()

        def loop():
            try:
                while True:
                    handle(*hole.socket.accept())
            except OSError:
                pass
        threading.Thread(target=loop, daemon=True).start()

    accepted = []

    def refuse(connection, _):
        accepted.append(connection)
        with contextlib.suppress(OSError):
            connection.sendall(b"554 5.7.1 not you\r\n")

    time.sleep(0.5)  # both are being tried
    accept(first, refuse)
    server.wait_log("event=host-refused", "554", str(first.port))
    accept(second, hop.server.process_request)
    hop.wait(timeout=15)


def test_thousands_that_do_not_fit_leave_others_their_turn(make_server, hops):
    """The next hop takes nothing larger than 1000 octets: what is too large comes back, while a client is served."""
    hop = hops(extensions=("PIPELINING", "SIZE 1000"))
    server = make_server(LOCAL + to(hop))
    with server.talk() as t:
        for i in range(300):
            queued_id(t.mail("x@elsewhere.test", b"Subject: x\r\n\r\n" + b"y" * 900 + b"\r\n", sender=f"a{i % 3}@example.com"))
        queued_id(t.mail("x@elsewhere.test", b"Subject: x\r\n\r\n"))
    hop.wait()
    for i in range(3):
        server.mailbox(f"a{i}", "example.com").wait(100)
    wait_for(lambda: server.queue() == [], why="the queue is empty")


def test_a_message_spoilt_on_our_disk_is_no_fault_of_the_next_hop(make_server, hops):
    hop = hops(replies={"MAIL": "451 4.0.0 later"}, extensions=("PIPELINING", "LIMITS MAILMAX=1"))
    server = make_server('queue { retry = ["60s"] }\n' + to(hop))
    with server.talk() as t:
        spoilt = queued_id(t.mail("x@elsewhere.test", b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 20000))
    server.wait_log("event=deferred", spoilt)
    for file in (server.state / "spool").iterdir():
        at = file.read_bytes().find(b"0123456789abcdef\r\n" * 100)
        if at >= 0:
            with open(file, "r+b") as f:
                f.seek(at + 1000)
                f.write(b"spoilt")
    hop.replies = {}
    server.run("queue", "retry", "--all", check=True)
    server.wait_log("spool-message-damaged", spoilt)
    with server.talk() as t:
        sound = queued_id(t.mail("y@elsewhere.test"))
    server.wait_log("event=delivered", sound)
    assert "event=unreachable" not in server.log()


# ---- stop and reload ----

def test_two_signals_during_commits(make_server):
    for i in range(4):
        server = make_server(LOCAL, name=f"server{i}")
        stopped = threading.Event()

        def load():
            try:
                with server.talk() as t:
                    while not stopped.is_set():
                        t.mail("a@example.com")
            except (OSError, EOFError, AssertionError):
                pass
        threads = [threading.Thread(target=load, daemon=True) for _ in range(10)]
        for thread in threads:
            thread.start()
        time.sleep(0.4 + i * 0.007)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0, server.log()[-2000:]
        stopped.set()
        for thread in threads:
            thread.join()
        server.process = None


def test_what_a_forced_stop_leaves_in_doubt_is_told(make_server, hops):
    release = threading.Event()
    hop = hops(replies=lambda hop, verb, line, state: release.wait(20) and None if verb == "END" else None)
    server = make_server(to(hop))
    with server.talk() as t:
        id = queued_id(t.mail("x@elsewhere.test"))
    wait_for(lambda: hop.commands("DATA"))
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    server.wait_log("stopping")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    server.process = None
    release.set()
    assert "doubtful=yes" in server.wait_log("event=deferred", id)


def test_a_forced_stop_gives_back_what_was_not_sent(make_server, hops):
    hop = hops(delay={"MAIL": 5})
    server = make_server(to(hop))
    with server.talk() as t:
        queued_id(t.mail("x@elsewhere.test"))
    wait_for(lambda: hop.commands("MAIL"))
    server.process.send_signal(signal.SIGTERM)
    server.wait_log("stopping")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    server.process = None
    assert "event=deferred" not in server.log()
    hop.delay.clear()
    server.start()
    hop.wait()


def test_a_reload_does_not_undo_a_stop(make_server, hops):
    hop = hops(delay={"MAIL": 2})
    server = make_server(to(hop))
    with server.talk() as t:
        queued_id(t.mail("x@elsewhere.test"))
    wait_for(lambda: hop.commands("MAIL"))
    server.process.send_signal(signal.SIGTERM)
    server.wait_log("stopping")
    server.reload()
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        server.talk()
    assert server.process.wait(10) == 0
    server.process = None


def test_a_listener_moves_between_one_address_and_all(make_server, hops):
    server = make_server(LOCAL)
    one = server.file.read_text()
    for i, address in enumerate(["0.0.0.0", "127.0.0.1", "0.0.0.0"]):
        server.file.write_text(one.replace("127.0.0.1:", f"{address}:"))
        server.reload()
        server.wait_log("reloaded", count=i + 1)
        Talk(server.port).close()
    # What cannot be opened leaves the listeners as they were.
    other = free_port()
    hops(Blackhole, port=other)
    server.file.write_text(one.replace(f'"127.0.0.1:{server.port}"', f'"127.0.0.1:{server.port}", "127.0.0.1:{other}"'))
    server.reload()
    server.wait_log("reload-failed", str(other))
    Talk(server.port, host="127.0.0.2").close()  # all addresses still


@pytest.mark.parametrize("validate", ["off", "resolver"])
def test_a_reload_asks_other_dns_servers(make_server, hops, tmp_path, validate):
    hop = hops(host="127.0.1.9")
    with dns(tmp_path / "a", {"one.test": "@ A 127.0.1.8\n"}) as wrong, dns(tmp_path / "b", {"one.test": "@ A 127.0.1.9\n"}) as right:
        def config(port):
            return (f'dns {{ servers = ["127.0.0.1:{port}"], validate = {validate} }}\nqueue {{ retry = ["1s"] }}\n'
                    f'route "*" {{ to = mx, port = {hop.port}, allow_loopback = true }}\n')
        server = make_server(config(wrong))
        with server.talk() as t:
            queued_id(t.mail("x@one.test"))
        server.wait_log("event=unreachable")
        for port in (right, wrong, right):
            server.configure(config(port))
            server.reload()
        server.wait_log("reloaded")
        hop.wait(timeout=15)
