"""What the machine is, and whether it was quiet while something was measured."""

import os
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()

# A sample is thrown away when the hypervisor took more than this share of all cores' time, or other
# programs of this machine took more than this share of one core.
STEAL_MAX = 0.12
FOREIGN_MAX = 0.25


def _stolen():
    """Seconds stolen by the hypervisor so far, over all cores."""
    with open("/proc/stat") as f:
        return int(f.readline().split()[8]) / TICK


def _processes():
    """pid -> (parent, CPU seconds with those of ended children) of everything but kernel threads."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parent = int(fields[1])
        if parent != 2 and pid != "2":
            found[int(pid)] = (parent, sum(map(int, fields[11:15])) / TICK)
    return found


def descendants(root, processes=None):
    """Pids of the tree below and with root.  We adopt orphans of ours, so that daemons stay in it."""
    processes = _processes() if processes is None else processes
    children = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    tree, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in processes:
            tree.append(pid)
        todo.extend(children.get(pid, ()))
    return tree


def _foreign():
    """CPU seconds of what is not ours, so far.  What a process that ended has used is its parent's then, so that the sum
    over all of them only grows."""
    all_of_them = _processes()
    ours = set(descendants(os.getpid(), all_of_them))
    return sum(cpu for pid, (_, cpu) in all_of_them.items() if pid not in ours)


class Noise:
    """with Noise() as n: ...; then n.steal and n.foreign are shares, n.why says why it was not quiet."""

    def __enter__(self):
        self.foreign_before, self.stolen_before = _foreign(), _stolen()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        seconds = max(time.monotonic() - self.began, 0.01)
        self.steal = (_stolen() - self.stolen_before) / seconds / CORES
        self.foreign = max(0.0, _foreign() - self.foreign_before) / seconds

    @property
    def why(self):
        if self.steal > STEAL_MAX:
            return f"{self.steal:.0%} of the CPU was stolen"
        if self.foreign > FOREIGN_MAX:
            return f"other programs took {self.foreign:.0%} of a core"
        return ""


def wait_quiet(patience):
    """Wait until other programs leave the machine alone; not longer than patience seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with Noise() as noise:
            time.sleep(0.4)
        if not noise.why:
            return


# ---- the disk ----------------------------------------------------------------------------------


def _device(path):
    """"major:minor" of the whole disk under path; None: there is none to name (overlay, btrfs)."""
    number = os.stat(path).st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    where = os.path.realpath(f"/sys/dev/block/{name}")
    if not os.path.exists(where):
        return None
    if os.path.exists(where + "/partition"):
        with open(os.path.dirname(where) + "/dev") as f:
            return f.read().strip()
    return name


class Disk:
    """What the disk under a path has done: writes, flushes, octets; of all programs."""

    def __init__(self, path):
        self.device = _device(path)

    def counts(self):
        """(writes, flushes, octets written); None where the disk does not say."""
        if self.device is None:
            return None
        with open("/proc/diskstats") as f:
            for line in f:
                v = line.split()
                if f"{v[0]}:{v[1]}" == self.device and len(v) > 18:
                    return int(v[7]), int(v[18]), int(v[9]) * 512
        return None

    def since(self, before):
        now = self.counts()
        if before is None or now is None:
            return {}
        return dict(zip(("disk_writes", "disk_flushes", "disk_octets"),
                        (a - b for a, b in zip(now, before))))


# ---- memory ------------------------------------------------------------------------------------


def pss(pids):
    """Octets of memory of these processes, shared pages shared out."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:")) * 1024
        except OSError:
            pass
    return total


# ---- facts -------------------------------------------------------------------------------------


def _first(path, key):
    with open(path) as f:
        for line in f:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return ""


def _said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except OSError:
        return ""


def file_system(path):
    """Type and mount options of the file system that holds path."""
    best = ("", "?", "")
    with open("/proc/mounts") as f:
        for line in f:
            _, where, kind, options = line.split()[:4]
            inside = os.path.realpath(path) + "/"
            if inside.startswith(where.rstrip("/") + "/") and len(where) >= len(best[0]):
                best = (where, kind, options)
    return f"{best[1]} ({best[2]})"


def facts(path, root):
    """What a reader needs to judge the figures: name -> text."""
    virtual = "hypervisor" in _first("/proc/cpuinfo", "flags").split()
    disk = "?"
    device = _device(path)
    if device:
        where = os.path.realpath(f"/sys/dev/block/{device}")
        disk = os.path.basename(where)
        for name in ("queue/write_cache", "queue/scheduler"):
            try:
                with open(f"{where}/{name}") as f:
                    disk += ", " + f.read().strip()
            except OSError:
                pass
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    kernel = os.uname()
    commit = _said("git", "-C", root, "rev-parse", "--short", "HEAD")
    return {
        "processor": f"{_first('/proc/cpuinfo', 'model name')}, {CORES} cores"
                     + (", a virtual machine" if virtual else ""),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{kernel.sysname} {kernel.release}",
        "file system": file_system(path),
        "disk": disk,
        "rockdove": f"commit {commit or 'none'}, meson buildtype release",
        "Postfix": _said("postconf", "-d", "-h", "mail_version") or "not installed",
    }
