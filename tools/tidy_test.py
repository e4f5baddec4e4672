"""Plants each kind of violation in a tree that is clean, and looks for exactly that finding."""

import os
import re
import subprocess
import sys

import pytest

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tidy")

HEADER = """/* What it is for.  */
#ifndef {guard}
#define {guard}

{includes}
struct {name};

/* Does it.  */
int {name}_do(struct {name} *x);
int {name}_do_again(struct {name} *x,
	int times);

static inline int {name}_small(int x) {{ return x; }}

#endif
"""

SOURCE = """#include "{folder}/{name}.h"

static const char *const words[] = {{"time(", "open"}};

/* open("x") and time(NULL) in a comment are no calls.  */
static int helper(struct {name} *x)
{{
	return x->open(words) + x->ops.read(1) + reopen(2);
}}

int {name}_do(struct {name} *x)
{{
	return helper(x);
}}
"""

TEST = """#include "base/test.h"
#include "{folder}/{name}.h"

int main(void)
{{
	close(1);
	return 0;
}}
"""

MODULES = [("base", "str"), ("mail", "address"), ("io", "io"), ("spool", "segment"), ("cli", "main")]


def write(root, path, text):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def change(root, path, old, new):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    assert old in text
    write(root, path, text.replace(old, new, 1))


@pytest.fixture
def root(tmp_path):
    for folder, name in MODULES:
        include = '#include "base/str.h"\n' if folder not in ("base", "cli") else ""
        include += '#include "mail/address.h"\n' if folder == "spool" else ""
        write(tmp_path, f"src/{folder}/{name}.h", HEADER.format(
            guard=f"{folder}_{name}_H".upper(), includes=include, name=name))
        write(tmp_path, f"src/{folder}/{name}.c", SOURCE.format(folder=folder, name=name))
        write(tmp_path, f"src/{folder}/{name}_test.c", TEST.format(folder=folder, name=name))
        write(tmp_path, f"src/{folder}/meson.build",
              f"sources = files('{name}.c')\ntests = ['{name}']\n")
    write(tmp_path, "src/base/test.h", "#ifndef BASE_TEST_H\n#define BASE_TEST_H\n#endif\n")
    return tmp_path


def tidy(root):
    done = subprocess.run([sys.executable, TIDY, str(root)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert done.returncode == (1 if lines else 0)
    for line in lines:
        assert re.match(r"[^:\n]+:\d+: \S", line)
    return lines


def line_with(root, path, text):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if text in line:
                return number
    raise AssertionError(text)


def test_clean_tree(root):
    assert tidy(root) == []


ADDRESS = "src/mail/address.c"
INCLUDE = '#include "mail/address.h"\n'


@pytest.mark.parametrize("path, old, new, at, message", [
    # layers
    (ADDRESS, INCLUDE, INCLUDE + '#include "io/io.h"\n', '"io/io.h"', "mail/ must not include io/"),
    ("src/base/str.h", "struct str;", '#include "mail/address.h"\nstruct str;', '"mail/',
     "base/ must not include mail/"),
    ("src/mail/address_test.c", '#include "base/test.h"', '#include "spool/segment.h"', "spool/",
     "mail/ must not include spool/"),
    (ADDRESS, INCLUDE, '#include "address.h"\n', '"address.h"',
     '"address.h" is included without its folder'),
    (ADDRESS, INCLUDE, '#include "base/str.c"\n', "str.c", "base/str.c is a source file"),
    (ADDRESS, INCLUDE, '#include "base/test.h"\n', "test.h", "base/test.h is for tests"),
    # calls
    (ADDRESS, "helper(x);", "open(x);", "return open(x);", "open (file) is not to be called in mail/"),
    (ADDRESS, "helper(x);", "(int)time (0);", "(int)time", "time (time) is not to be called in mail/"),
    ("src/spool/segment.c", "helper(x);", "fsync(x);", "fsync(x)",
     "fsync (file) is not to be called in spool/"),
    ("src/spool/segment.c", "helper(x);", "pthread_create(x);", "pthread_create",
     "pthread_create (thread) is not to be called in spool/"),
    ("src/spool/segment.c", "helper(x);", "printf(x);", "printf",
     "printf (stdio) is not to be called in spool/"),
    ("src/io/io.c", "helper(x);", "rand();", "return rand",
     "rand (banned) is not to be called in io/"),
    ("src/io/io.c", "helper(x);", "alloca(9);", "alloca", "alloca (banned) is not to be called in io/"),
    ("src/cli/main.c", "helper(x);", "socket(1);", "socket",
     "socket (socket) is not to be called in cli/"),
    ("src/cli/main.c", "helper(x);", "printf(x);", "printf", None),
    (ADDRESS, "helper(x);", "malloc(9);", "malloc", "malloc (heap) is not to be called in mail/"),
    ("src/base/str.c", "helper(x);", "malloc(9);", "malloc", None),
    (ADDRESS, "helper(x);", "log_begin(x);", "log_begin",
     "log_begin (log) is not to be called in mail/"),
    ("src/spool/segment.c", "helper(x);", "log_begin(x);", "log_begin", None),
    (ADDRESS, "static int helper", "static int accept(int x)\n{\n\treturn x;\n}\n\nstatic int helper",
     "accept", None),
    # headers
    ("src/mail/address.h", "/* Does it.  */\nint address_do(struct address *x);\n",
     "int address_do(struct address *x);\n\n/* And again.  */\n", "address_do(",
     "address_do has no comment"),
    ("src/mail/address.h", "int address_do_again", "\nint address_do_again", "address_do_again",
     "address_do_again has no comment"),
    ("src/mail/address.h", "struct address;\n", "void address_release(struct address *x);\n", "release", None),
    ("src/mail/address.h", "int address_do(struct address *x);",
     "int address_do(struct address *x); /* here */", "address_do(", None),
    ("src/mail/address.h", "#ifndef MAIL_ADDRESS_H", "#ifndef ADDRESS_H", "What it is",
     "the include guard is not MAIL_ADDRESS_H"),
    ("src/spool/segment.h", "/* Does it.  */\n", "", "segment_do(", None),  # private
    # meson and tests
    ("src/mail/meson.build", "'address.c'", "", None, f"{ADDRESS}:1: no meson.build names this file"),
    ("src/mail/meson.build", "'address.c'", "# 'address.c'\n", None,
     f"{ADDRESS}:1: no meson.build names this file"),
    ("src/mail/meson.build", "['address']", "[]", None,
     "src/mail/address_test.c:1: no meson.build names this file"),
    # state and marks
    (ADDRESS, "static int helper", "static int counter = 1;\n\nstatic int helper", "counter",
     "counter is a global that can change"),
    (ADDRESS, "static int helper", "static char *names[4];\n\nstatic int helper", "names[4]",
     "names is a global that can change"),
    (ADDRESS, "static int helper", "static int later(void);\n\nstatic int helper", "later", None),
    (ADDRESS, "return helper", "/* TO" "DO: more */ return helper", "more",
     "TO" "DO: do it, or open an issue"),
])
def test_violation(root, path, old, new, at, message):
    change(root, path, old, new)
    if message is None:
        assert tidy(root) == []
    elif at is None:
        assert tidy(root) == [message]
    else:
        assert tidy(root) == [f"{path}:{line_with(root, path, at)}: {message}"]


@pytest.mark.parametrize("folder, missed", [("base", True), ("mail", True), ("spool", True),
                                            ("io", False), ("cli", False)])
def test_missing_test(root, folder, missed):
    name = dict(MODULES)[folder]
    os.remove(root / f"src/{folder}/{name}_test.c")
    wanted = [f"src/{folder}/{name}.c:1: {name}_test.c is missing"] if missed else []
    assert tidy(root) == wanted


def test_part_of_a_tested_module_needs_no_test_of_its_own(root):
    write(root, "src/mail/address_quoted.c", "int x;\n")
    write(root, "src/mail/header.c", "int x;\n")
    change(root, "src/mail/meson.build", "'address.c'", "'address.c', 'address_quoted.c', 'header.c'")
    assert tidy(root) == ["src/mail/header.c:1: header_test.c is missing"]


def long_function(lines):
    return "int address_long(int x,\n\tint y)\n{\n" + "\tx++;\n" * (lines - 1) + "\treturn x;\n}\n"


def test_function_length(root):
    write(root, ADDRESS, long_function(60))
    assert tidy(root) == []
    write(root, ADDRESS, INCLUDE + "\n" + long_function(61))
    assert tidy(root) == [f"{ADDRESS}:5: address_long has 61 lines: over 60"]


def test_file_length(root):
    write(root, ADDRESS, "int x;\n" * 500)
    write(root, "src/mail/address_test.c", "int x;\n" * 800)
    assert tidy(root) == []
    write(root, ADDRESS, "int x;\n" * 501)
    write(root, "src/mail/address_test.c", "int x;\n" * 801)
    assert tidy(root) == [
        f"{ADDRESS}:501: 501 lines: over 500, the file holds two concepts",
        "src/mail/address_test.c:801: 801 lines: over 800, the file holds two concepts"]


def test_list_of_tests_may_be_long(root):
    write(root, "src/mail/address_test.c", "int main(void)\n{\n" + "\tx();\n" * 90 + "}\n")
    assert tidy(root) == []


def test_other_trees_include_what_they_like(root):
    write(root, "sim/clock.c", '#include "io/io.h"\n#include "spool/segment.h"\nint x(void) { open(1); }\n')
    assert tidy(root) == ["sim/clock.c:1: no meson.build names this file"]
    write(root, "sim/meson.build", "files('clock.c')\n")
    assert tidy(root) == []


def test_marks_are_found_outside_c(root):
    write(root, "doc/spool.md", "fine\nFIX" "ME\n")
    write(root, "README.md", "TO" "DO\n")
    assert tidy(root) == ["README.md:1: TO" "DO: do it, or open an issue",
                          "doc/spool.md:2: FIX" "ME: do it, or open an issue"]
