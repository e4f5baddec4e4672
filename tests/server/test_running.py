"""Starting, signals, configuration, logs."""
import json
import os
import signal
import socket
import subprocess
import time

from harness import BINARY, free_port, queued_id, run, wait_for


def test_check_names_every_mistake_with_its_line(tmp_path):
    file = tmp_path / "bad.conf"
    file.write_text('hostnam = "x.example"\n\nlimits {\n  message = "lots"\n  recipients = 5\n}\n')
    result = run("serve", "--check", "-c", str(file))
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 78
    assert any(l.startswith(f"{file}:1: ") and "hostname" in l for l in lines), lines
    assert any(l.startswith(f"{file}:4: ") for l in lines), lines
    assert any(l.startswith(f"{file}:5: ") and "100" in l for l in lines), lines
    file.write_text('hostname = "x.example"\n')
    assert run("serve", "--check", "-c", str(file)).returncode == 0


def test_the_sample_configuration_is_good(tmp_path):
    from harness import ROOT
    assert run("serve", "--check", "-c", str(ROOT / "conf" / "rockdove.conf")).returncode == 0


def test_a_second_server_on_the_same_state_is_refused(server, make_server):
    other = make_server(name="server", start=False)
    other.port = free_port()
    other.file = other.directory / "other.conf"
    other.configure('domain "example.com" { users = ["alice"] }\n')
    other.start(wait=False)
    assert other.process.wait(10) == 75
    with server.talk() as t:
        assert t.ask("NOOP").startswith("250")


def test_a_port_in_use_is_said(make_server, server):
    other = make_server(name="other", start=False, port=server.port)
    other.start(wait=False)
    assert other.process.wait(10) == 69
    assert str(server.port) in other.log()


def test_reload_keeps_sessions_and_a_wrong_file_changes_nothing(server):
    with server.talk() as t:
        t.ask("EHLO before")
        t.ask("MAIL FROM:<a@example.org>")
        server.configure('domain "example.com" { users = ["dora"] }\n')
        server.reload()
        server.wait_log("reloaded")
        assert t.ask("RCPT TO:<alice@example.com>").startswith("250")  # it began under the old rules
        with server.talk() as new:
            new.ask("EHLO after")
            new.ask("MAIL FROM:<a@example.org>")
            assert new.ask("RCPT TO:<alice@example.com>").startswith("550")
            assert new.ask("RCPT TO:<dora@example.com>").startswith("250")
        server.file.write_text("nonsense = 1\n")
        server.reload()
        server.wait_log("reload-failed")
        with server.talk() as new:
            new.mail("dora@example.com")
        assert t.ask("QUIT").startswith("221")


def test_reload_moves_listeners(server):
    port = free_port()
    old, server.port = server.port, port
    server.configure('domain "example.com" { users = ["alice"] }\n')
    server.reload()
    server.wait_log("reloaded")
    with server.talk() as t:
        t.mail("alice@example.com")
    try:
        socket.create_connection(("127.0.0.1", old), timeout=2).close()
        raise AssertionError("the old port is still open")
    except ConnectionRefusedError:
        pass


def test_stop_answers_those_who_wait(server):
    with server.talk() as t:
        t.ask("EHLO x")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert t.reply().startswith("421 4.3.2")
        assert t.closed()
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 5


def test_notify_socket(make_server, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(10)
        server = make_server(start=False)
        server.start(env={**os.environ, "NOTIFY_SOCKET": path})
        assert b"READY=1" in s.recv(1000)
        server.stop()
        assert b"STOPPING=1" in s.recv(1000)


def test_logs(make_server):
    server = make_server('log { format = json }\ndomain "example.com" { users = ["alice"] }\n')
    with server.talk() as t:
        reply = t.mail("alice@example.com")
    id = reply.rsplit(" ", 1)[1]
    server.wait_log(id, "delivered")
    for line in server.log().splitlines():
        json.loads(line)


def test_warns_when_the_spool_lies_in_memory(make_server):
    import pathlib, shutil, tempfile
    directory = tempfile.mkdtemp(dir="/dev/shm")
    try:
        server = make_server(start=False)
        server.state = pathlib.Path(directory) / "state"
        server.configure('domain "example.com" { users = ["alice"] }\n')
        server.start()
        assert "tmpfs" in server.wait_log("state-not-on-disk")
        server.stop()
    finally:
        shutil.rmtree(directory)


def test_words_of_a_listener_and_the_classroom_end(make_server):
    port = free_port()
    server = make_server(f'''
listen class {{
  bind = ["127.0.0.1:{port}"]
  replies {{ banner = "ESMTP Postfix (Ubuntu)", helo = "Hello %{{helo}}, pleased to meet you", queued = "Message accepted as %{{id}}" }}
  data_end = "end of email"
}}
domain "example.com" {{ users = ["alice"] }}
''')
    from harness import Talk
    with Talk(port) as t:
        assert t.banner == "220 ESMTP Postfix (Ubuntu)" or t.banner.endswith("ESMTP Postfix (Ubuntu)")
        assert t.ask("HELO me") == "250 Hello me, pleased to meet you"
        t.ask("MAIL FROM: a@example.org")
        t.ask("RCPT TO: alice@example.com")
        t.ask("DATA")
        t.send("Subject: x\r\n\r\nhello\r\nend of email\r\n")
        assert "Message accepted as " in t.reply()
    (message,) = server.mailbox("alice", "example.com").wait()
    assert message.endswith(b"\n\nhello\n")


def test_data_end_is_refused_beyond_loopback(tmp_path):
    file = tmp_path / "bad.conf"
    file.write_text('listen x {\n  bind = ["0.0.0.0:2525"]\n  data_end = "end of email"\n}\n')
    result = run("serve", "--check", "-c", str(file))
    assert result.returncode == 78 and b"loopback" in result.stderr


def test_version_and_usage():
    assert run("--version").stdout.startswith(b"rockdove ")
    assert run("nonsense").returncode == 64
    assert b"serve" in run("--help").stdout


def test_limits_of_the_spool_follow_the_configuration(make_server):
    """What is short is told once, and its end too."""
    server = make_server('limits { disk_free = "900000G" }\n')
    with server.talk() as t:
        t.expect("EHLO c", "250")
        t.expect("MAIL FROM:<a@example.org>", "250")
        t.expect("RCPT TO:<postmaster@mail.example.com>", "250")
        assert t.ask("DATA").startswith("452 4.3.1")
    server.wait_log("event=spool-full")
    server.configure('limits { disk_free = 0 }\n')
    server.reload()
    server.wait_log("event=spool-room")
    with server.talk() as t:
        queued_id(t.mail("postmaster@mail.example.com"))
    assert server.log().count("event=spool-full") == server.log().count("event=spool-room") == 1


def test_classic_commands_explain_themselves(tmp_path):
    for name in "sendmail", "mailq", "newaliases":
        link = tmp_path / name
        link.symlink_to(BINARY)
        said = subprocess.run([str(link), "--help"], capture_output=True, stdin=subprocess.DEVNULL, timeout=20)
        assert said.returncode == 0 and said.stdout.startswith(f"Usage: {name}".encode()), said
        assert b"-C FILE" in said.stdout and (name != "sendmail" or b"-f ADDRESS" in said.stdout)
