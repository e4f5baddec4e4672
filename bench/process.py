"""Starting programs, and knowing what they and everything they fork cost."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import time

from machine import TICK, descendants, pss

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None)
_groups = 0


def adopt_orphans():
    """Daemons of ours become our children: so they can be found, and none is left behind."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap():
    """Take leave of adopted children that have ended."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in _ours:
            return
        os.waitpid(ended.si_pid, 0)


_ours = set()  # pids that a Popen object looks after


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def raise_files():
    """As many open files as we may have; children inherit it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (max(most, 65536), most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return
        except (ValueError, OSError):
            continue


class Group:
    """All processes of one server, counted by a control group (version 1 or 2), else by walking /proc."""

    def __init__(self):
        global _groups
        _groups += 1
        self.roots = []  # for /proc
        self.path = self.usage = None
        name = f"rockdove-bench-{os.getpid()}-{_groups}"
        for base, usage in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat")):
            try:
                os.mkdir(f"{base}/{name}")
            except OSError:
                continue
            if os.path.exists(f"{base}/{name}/{usage}"):
                self.path, self.usage = f"{base}/{name}", usage
                return
            os.rmdir(f"{base}/{name}")

    def enter(self):
        """In the child, before it becomes the server."""
        if self.path:
            with open(self.path + "/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))

    def pids(self):
        if not self.path:
            return [pid for root in self.roots for pid in descendants(root)]
        try:
            with open(self.path + "/cgroup.procs") as f:
                return [int(pid) for pid in f.read().split()]
        except OSError:
            return []

    def cpu(self):
        """CPU seconds so far, of those that have ended too."""
        if not self.path:
            return sum(self._cpu_by_proc(pid) for pid in self.pids())
        with open(f"{self.path}/{self.usage}") as f:
            text = f.read()
        return int(text) / 1e9 if self.usage == "cpuacct.usage" else int(text.split()[1]) / 1e6

    @staticmethod
    def _cpu_by_proc(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15])) / TICK
        except OSError:
            return 0.0

    def memory(self):
        return pss(self.pids())

    def end(self, patience=10):
        """Wait until all have left; those that do not are killed, one by one."""
        stop = time.monotonic() + patience
        while self.pids() and time.monotonic() < stop:
            reap()
            time.sleep(0.02)
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        stop = time.monotonic() + 5
        while self.pids() and time.monotonic() < stop:
            reap()
            time.sleep(0.02)
        reap()
        if self.path:
            try:
                os.rmdir(self.path)
            except OSError:
                pass
            self.path = None


def spawn(command, group=None, **kwargs):
    """Start a program that dies with us, in a group when one is given."""
    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if group:
            group.enter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=prepare, **kwargs)
    _ours.add(process.pid)
    if group:
        group.roots.append(process.pid)
    return process


def finish(process, sig=signal.SIGTERM, patience=20):
    """End a program that we started.  Its exit code."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _ours.discard(process.pid)
    return process.returncode
