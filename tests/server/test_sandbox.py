"""What the server gives up at start: root's rights, files, system calls.  That it works without them is what all other files test."""
import ctypes
import os
import pathlib
import pwd
import re
import shutil
import tempfile

import pytest
from harness import Server, Talk, wait_for

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
LOW = (f"127.77.{os.getpid() % 250}.{os.getpid() // 250 % 250 + 1}", 25)   # nobody else is there
LOCAL = 'domain "example.com" { users = ["alice", "bob"] }\n'


def landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


NEEDS_LANDLOCK = pytest.mark.skipif(landlock() < 1, reason="this kernel has no Landlock")


@pytest.fixture
def open_directory():
    """One that others than root reach: pytest's is not."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rockdove-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def status(server):
    lines = pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def as_nobody(directory, config=""):
    return Server(directory, f'user = "nobody"\nlisten low {{ bind = "{LOW[0]}:{LOW[1]}" }}\n' + LOCAL + config)


def test_what_is_left_is_said(server):
    line = server.wait_log("event=sandbox")
    assert int(re.search(r"calls=(\d+)", line)[1]) > 100
    assert ("landlock=off" in line) == (landlock() < 1)
    assert status(server)["NoNewPrivs"] == "1" and status(server)["Seccomp"] == "2"


@ROOT_ONLY
def test_root_binds_and_is_given_up(open_directory):
    nobody = pwd.getpwnam("nobody")
    control = open_directory / "run" / "rockdove" / "control.sock"
    with as_nobody(open_directory / "server", f'control = "{control}"\n') as server:
        assert "user=nobody" in server.wait_log("event=sandbox")
        for thread in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
            text = (thread / "status").read_text()
            assert re.search(r"^Uid:\s+(\d+)\s+\1\s+\1\s+\1$", text, re.M)[1] == str(nobody.pw_uid)
            assert re.search(r"^Gid:\s+(\d+)\s+\1\s+\1\s+\1$", text, re.M)[1] == str(nobody.pw_gid)
            for kind in ("Prm", "Eff"):  # nothing but to bind low ports
                assert re.search(rf"^Cap{kind}:\s+(\w+)$", text, re.M)[1] == f"{1 << 10:016x}"
        with Talk(LOW[1], host=LOW[0]) as t:
            assert t.mail("alice@example.com").startswith("250")
        server.mailbox("alice", "example.com").wait()
        assert server.state.stat().st_uid == nobody.pw_uid
        assert control.parent.stat().st_uid == nobody.pw_uid and server.queue() == []  # made on the way
        # A listener on a low port can still come.
        server.configure(f'user = "nobody"\nlisten other {{ bind = "{LOW[0]}:587" }}\n'
                         f'control = "{control}"\n' + LOCAL)
        server.reload()
        server.wait_log("reloaded")
        with Talk(587, host=LOW[0]) as t:
            assert t.mail("alice@example.com").startswith("250")


@ROOT_ONLY
def test_the_state_of_a_server_that_was_root_is_handed_over(open_directory):
    server = Server(open_directory / "server", 'user = "root"\n' + LOCAL)
    with server:
        with server.talk() as t:
            t.mail("alice@example.com")
        server.mailbox("alice", "example.com").wait()
    assert server.run("user", "add", "bob@example.com", "--password-file", "/dev/stdin", input=b"secret").returncode == 0
    server.configure('user = "nobody"\n' + LOCAL)
    with server:
        uid = pwd.getpwnam("nobody").pw_uid
        for path in [server.state, *server.state.rglob("*")]:
            assert path.lstat().st_uid == uid, path
        # What root adds later is readable for the server as well.
        assert server.run("user", "add", "carol@example.com", "--password-file", "/dev/stdin", input=b"x").returncode == 0
        assert (server.state / "accounts").stat().st_uid == uid
        with server.talk() as t:
            assert t.mail("alice@example.com").startswith("250")
        server.mailbox("alice", "example.com").wait(2)
        assert server.queue() == []


@ROOT_ONLY
def test_a_state_of_somebody_else_is_refused(open_directory):
    server = as_nobody(open_directory / "server")
    server.state.mkdir(mode=0o700)
    os.chown(server.state, 12345, 12345)
    server.start(wait=False)
    assert server.process.wait(10) == 73
    assert "another user" in server.wait_log("cannot-start", str(server.state))
    assert server.state.stat().st_uid == 12345


@NEEDS_LANDLOCK
def test_mailboxes_elsewhere_are_in_reach(make_server, tmp_path):
    box = f'domain "example.com" {{ users = "*", deliver = "maildir:{tmp_path}/home/%{{user}}/Maildir" }}\n'
    server = make_server(box)
    with server.talk() as t:
        t.mail("alice@example.com")
    wait_for(lambda: list(tmp_path.glob("home/alice/Maildir/new/*")), 10, "mail in the mailbox")


@NEEDS_LANDLOCK
def test_a_reload_cannot_widen_the_sandbox(make_server, tmp_path):
    server = make_server()
    (tmp_path / "elsewhere").mkdir()
    server.configure(LOCAL + f'domain "example.net" {{\n  users = "*", deliver = "maildir:{tmp_path}/elsewhere/%{{user}}" }}\n')
    line = server.file.read_text().split("deliver =")[0].count("\n") + 1
    server.reload()
    said = server.wait_log("reload-failed")
    assert f"{server.file}:{line}: {tmp_path}/elsewhere" in said and "restart" in said
    with server.talk() as t:  # the one before is in force
        assert t.mail("alice@example.com").startswith("250")
    server.stop()
    server.start()
    with server.talk() as t:
        t.mail("dora@example.net")
    wait_for(lambda: list(tmp_path.glob("elsewhere/dora/new/*")), 10, "mail in the mailbox")


def with_command(word):
    return LOCAL + (f'route "hop.example" {{ to = "smtp:127.0.0.1:1", user = "me", tls = verify,\n'
                    f'token_command = ["/bin/echo", "{word}"] }}\n')


def test_only_commands_known_at_start_can_be_run(make_server):
    """That they run is what test_hop_login.py tests."""
    server = make_server(with_command("one"))
    children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert [pathlib.Path(f"/proc/{c}/comm").read_text().strip() for c in children] == ["warden"]
    server.configure(with_command("two"))
    server.reload()
    assert "restart" in server.wait_log("reload-failed", "hop.example", "token_command")
    server.configure(with_command("one"))
    server.reload()
    server.wait_log("reloaded")
    server.stop()
    wait_for(lambda: not pathlib.Path(f"/proc/{children[0]}").exists(), 10, "the warden leaves with its server")


def test_what_a_reload_cannot_change_is_said(server):
    server.configure(LOCAL + "sandbox = off\n")
    server.reload()
    assert "restart" in server.wait_log("reload-failed", "sandbox")


def test_the_sandbox_can_be_switched_off(make_server):
    server = make_server(LOCAL + "sandbox = off\n")
    assert "switched off" in server.wait_log("level=warn", "event=sandbox")
    assert status(server)["Seccomp"] == "0"


@NEEDS_LANDLOCK
def test_a_certificate_behind_links_is_renewed(make_server, tmp_path):
    """As certbot lays them out: live/ holds links into archive/, which move on."""
    from peers import Authority
    authority = Authority(tmp_path / "authority")
    archive, live = tmp_path / "archive", tmp_path / "live"
    archive.mkdir(), live.mkdir()

    def renew(number, name):
        for kind, source in zip(("cert", "key"), authority.issue(name)):
            (archive / f"{kind}{number}.pem").write_bytes(source.read_bytes())
            (live / f"{kind}.pem").unlink(missing_ok=True)
            (live / f"{kind}.pem").symlink_to(f"../archive/{kind}{number}.pem")
    renew(1, "one.example.com")
    server = make_server(LOCAL + f'tls {{ certificate = "{live}/cert.pem", key = "{live}/key.pem" }}\n')
    renew(2, "two.example.com")
    server.reload()
    server.wait_log("reloaded")
