"""The manual says what the program does: keys, ranges, defaults, commands, options, log lines."""
import os
import re
import subprocess

import pytest
from harness import ROOT, need, run

DOC = ROOT / "doc"
PAGES = sorted(p for p in DOC.iterdir() if re.fullmatch(r"[a-z.-]+\.[1-8]", p.name))
PAGE_OF = {"serve": "rockdove.8", "mailq": "rockdove-sendmail.1", "newaliases": "rockdove-sendmail.1"}
MACROS = r"(?:Ar|Cm|Dv|Fl|Ic|It|Li|No|Ns|Pa|Va|Em|Pq|Dq|Sq|Xr|Pp)"


def plain(mdoc):
    """The words of a page, near enough to look for some: no macros, no space before punctuation."""
    text = mdoc.replace(r"\(dq", '"').replace(r"\(aq", "'").replace(r"\e", "\\").replace(r"\-", "-").replace(r"\&", "")
    text = re.sub(rf"^\.{MACROS}\b", "", text, flags=re.M)
    text = re.sub(rf"(?<![\w-]){MACROS}(?![\w-])", "", text)
    return re.sub(r" ([.,;:)])", r"\1", re.sub(r"\s+", " ", text))


def page_of(command):
    name = PAGE_OF.get(command)
    found = [DOC / name] if name else [p for p in PAGES if p.stem == f"rockdove-{command}"]
    assert found, f"{command} has no page in doc/"
    return found[0].read_text()


# ---- the configuration ----

def manual_keys():
    """{"limits.message": its words} of rockdove.conf(5); blocks by their heading."""
    keys, block, key = {}, None, None
    for line in (DOC / "rockdove.conf.5").read_text().splitlines():
        if heading := re.match(r"\.S[sh] (.*)", line):
            words = heading[1].split()
            inner = re.match(r"Block (\w+) in (\w+)", heading[1])
            block = {"Top": "", "Block": words[1]}.get(words[0]) if len(words) > 1 else None
            block = f"{inner[2]}.{inner[1]}" if inner else block
            key = None
        elif (item := re.match(r"\.It Ic (\w+)$", line)) and block is not None:
            key = f"{block}.{item[1]}".strip(".")
            assert key not in keys, f"{key} is there twice"
            keys[key] = ""
        elif key:
            keys[key] += line + "\n"
    return {key: plain(words) for key, words in keys.items()}


class Schema:
    """What the program itself says of its configuration."""

    def __init__(self, directory):
        self.file = directory / "probe.conf"

    def complaints(self, text):
        self.file.write_text(text)
        return run("serve", "--check", "-c", str(self.file)).stderr.decode()

    def inside(self, path, text):
        """text within the blocks of path, named where they want a name."""
        for block, named in reversed(path):
            text = block + (' "probe.example" { ' if named else " { ") + text + " }"
        return text

    def known(self, path):
        said = self.complaints(self.inside(path, "zzzzzzzzzzzzzzzzzzzz = 1"))
        found = re.search(r'unknown key "[^\n]*z"; known here: (.*)', said)
        return found[1].split(", ") if found else []

    def walk(self, path=()):
        """Each key with the blocks it stands in."""
        for key in self.known(path):
            yield path, key
            for named in (False, True):
                inner = (*path, (key, named))
                if self.known(inner):
                    yield from self.walk(inner)
                    break


def dotted(path, key):
    return ".".join([*(block for block, _ in path), key])


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return Schema(tmp_path_factory.mktemp("schema"))


@pytest.fixture(scope="module")
def keys(schema):
    return {dotted(path, key): (path, key) for path, key in schema.walk()}


def test_every_key_has_its_place_in_the_manual_and_no_other_has(keys):
    assert len(keys) > 40 and "limits.message" in keys and "listen.replies.helo" in keys
    assert sorted(manual_keys()) == sorted(keys)


def test_ranges_are_those_of_the_manual(schema, keys):
    manual, ranges = manual_keys(), 0
    for name, (path, key) in keys.items():
        for far in ("9000000000000000000", "99999d"):
            said = schema.complaints(schema.inside(path, f"{key} = {far}"))
            if bounds := re.search(r"out of range; it must be at least (\w+) and at most (\w+)", said):
                least = "0" if bounds[1] == "0ms" else bounds[1]
                assert f"{least} to {bounds[2]}" in manual[name], (name, bounds[0], manual[name])
                ranges += 1
                break
    assert ranges > 15


def sample_settings():
    """conf/rockdove.conf, which another test holds to be the defaults: {"limits.message": "50M"}."""
    settings, path = {}, []
    text = re.sub(r"#.*", "", (ROOT / "conf" / "rockdove.conf").read_text())
    for token in re.finditer(r'(\w+)(?: +(?:"[^"]*"|\w+))? *\{|(\w+) *= *("[^"]*"|\[[^\]]*\]+|[^\s,}]+)|\}', text):
        if token[1]:
            path.append(token[1])
        elif token[2]:
            settings[".".join([*path, token[2]])] = token[3]
        else:
            path.pop()
    return settings


def test_defaults_are_those_of_the_manual():
    manual, settings = manual_keys(), sample_settings()
    del settings["listen.bind"]  # written with the port that follows from role and tls
    assert len(settings) > 35
    for name, value in settings.items():
        words = manual[name]
        if value == '""':
            fine = "mpty text" in words or name.startswith("listen.replies.")
        else:
            fine = any(form in words for form in (f"Default: {value}", f"{value} (default", f"{value}, the default"))
        assert fine, (name, value, words)


# ---- commands ----

def commands():
    listed = re.findall(r"^  ([a-z]+) +\S", run("--help").stdout.decode(), re.M)
    assert "serve" in listed and "queue" in listed
    return listed


def help_of(command):
    result = run("help", command)
    assert result.returncode == 0 and result.stdout.startswith(f"Usage: rockdove {command}".encode())
    return result.stdout.decode()


def long_options(page):
    return set(re.findall(r"--([a-z-]+)", plain(page.replace(r"Fl \-", "--"))))


@pytest.mark.parametrize("command", commands())
def test_what_help_shows_is_in_the_page(command):
    page, shown = page_of(command), help_of(command)
    wanted = set(re.findall(r"--([a-z-]+)", shown)) - {"config", "help"}
    assert wanted <= long_options(page), f"not in the page of {command}"
    usage = re.search(r"^Usage: (.*)", shown)[1]
    short = set(re.findall(r"(?<![\w-])-([a-zA-Z]+)\b", usage + " " + " ".join(re.findall(r"^  (-\w), --", shown, re.M))))
    flags = " ".join(re.findall(r"Fl (.*)", page)).split()
    assert short - {"c", "h"} <= set(flags), f"not in the page of {command}"
    assert f"Cm {command}" in (DOC / "rockdove.8").read_text() or command in ("mailq", "newaliases")


def test_every_verb_of_queue_is_in_its_page():
    verbs = re.search(r"^Usage: rockdove queue (\S+)", help_of("queue"), re.M)[1].split("|")
    assert "list" in verbs and len(verbs) > 5
    assert re.findall(r"^\.It Cm (\w+)$", page_of("queue"), re.M) == verbs


@pytest.mark.parametrize("command", ["serve", "send", "queue", "trace", "route", "sink", "bench"])
def test_options_of_the_page_are_known(command, tmp_path):
    empty = tmp_path / "empty.conf"
    empty.write_text(f'state = "{tmp_path}"\n')
    own = re.findall(r"^\.It Fl (.*)", page_of(command), re.M)
    names = {n for line in own for n in re.findall(r"\\-([a-z-]+)", line)} - {"config", "help", "version"}
    assert names, "the page has no options"
    for name in names:
        words = [command, "list"] if command == "queue" else [command]
        said = run(*words, f"--{name}", "-c", str(empty), stdin=subprocess.DEVNULL).stderr.decode()
        assert "there is no option" not in said, (name, said)


# ---- the log ----

def sources():
    return [p.read_text() for p in (ROOT / "src").glob("*/*.c") if not p.stem.endswith("_test") and p.name != "log.c"]


def test_every_event_and_key_of_the_log_is_in_the_manual():
    page = (DOC / "rockdove.8").read_text()
    items = set(re.findall(r"[a-z_-]+", " ".join(re.findall(r"^\.It Li (.*)", page, re.M)) + " " +
                           " ".join(re.findall(r"^\.Li ([a-z-]+)", page, re.M))))
    values = set(re.findall(r"[a-z_-]+", " ".join(re.findall(r"^\.(?:Pq )?Va (.*)", page, re.M))))
    begins = r'(?:\b(?:log_begin\(|spool_told\(|log_wait\(|say\(h,)[^;"]*?|\brefuse\(s, )"([a-z]+[a-z_-]*)"'
    events, logged = set(), set()
    for text in sources():
        events |= set(re.findall(begins, text))
        logged |= set(re.findall(r'\blog_(?:str|i64|printf)\(\s*[\w>-]+,\s*"([a-z_-]+)"', text))
    assert {"accepted", "refused", "unreachable", "spool-full", "history-failed"} <= events and "client" in logged
    assert events - items == set(), "events without a place"
    assert logged - values == set(), "keys without a place"
    assert {"delivered", "deferred", "failed", "expired", "retried", "released", "deleted"} <= items
    gone = {i for i in items if "-" in i and not any(f'"{i}"' in text for text in sources())}
    assert gone == set(), "events that nobody logs"


# ---- the pages themselves ----

@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_is_clean(page):
    said = subprocess.run([need("mandoc"), "-T", "lint", str(page)], capture_output=True, text=True,
                          env={**os.environ, "MANPATH": "/nonexistent"}).stdout
    # Pages it refers to may not be installed here; those of this folder are looked for below.
    assert [l for l in said.splitlines() if "referenced manual not found" not in l] == []
    title = re.search(r"^\.Dt (\S+) (\d)$", page.read_text(), re.M)
    assert f"{title[1].lower()}.{title[2]}" == page.name
    for name, section in re.findall(r"^\.Xr (\S+) (\d)", page.read_text(), re.M):
        assert (DOC / f"{name}.{section}").exists(), f"Xr {name} {section}"


def test_every_page_is_installed():
    assert len(PAGES) > 5
    assert sorted(re.findall(r"'([^']+)'", (DOC / "meson.build").read_text())) == sorted(p.name for p in PAGES)


@pytest.mark.parametrize("file", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "doc/guide.md"])
def test_files_that_are_named_exist(file):
    text = (ROOT / file).read_text()
    named = set(re.findall(r"\]\(([^)#:]+)\)", text))
    trees = "|".join(p.name for p in ROOT.iterdir() if p.is_dir() and p.name not in ("build", "run"))
    named |= {n for n in re.findall(rf"`((?:{trees})/[\w./-]+)`", text)}
    missing = [n for n in named if not ((ROOT / file).parent / n).exists() and not (ROOT / n).exists()]
    assert missing == []
