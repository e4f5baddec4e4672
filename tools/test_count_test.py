"""The last line of ./dev test must not flatter."""

import json
import os
import subprocess
import sys

COUNT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-count")


def count(*paths):
    done = subprocess.run([sys.executable, COUNT, *map(str, paths)], capture_output=True, text=True,
                          check=True)
    return done.stdout.strip(), done.stderr


def log(path, *programs):
    with open(path, "w", encoding="utf-8") as file:
        for name, result, said in programs:
            print(json.dumps({"name": name, "result": result, "stdout": "", "stderr": said}), file=file)
    return path


def test_cmocka_programs(tmp_path):
    path = log(tmp_path / "testlog.json",
               ("good", "OK", "[==========] x\n[  PASSED  ] 12 test(s).\n"),
               ("mixed", "FAIL", "[  PASSED  ] 3 test(s).\n[  FAILED  ] 2 test(s), listed below:\n"
                                 "[  FAILED  ] test_a\n[  FAILED  ] test_b\n"),
               ("crashed", "FAIL", "[ RUN      ] test_a\n"),
               ("slow", "TIMEOUT", ""),
               ("script", "OK", ""),
               ("absent", "SKIP", ""))
    counts, said = count(path)
    assert counts == "16 4"
    assert "crashed" in said and "mixed" in said and "slow" in said and "good" not in said


def test_sanitizer_that_fails_after_all_passed(tmp_path):
    path = log(tmp_path / "testlog.json", ("leak", "FAIL", "[  PASSED  ] 5 test(s).\n"))
    assert count(path)[0] == "5 1"


def test_junit(tmp_path):
    path = tmp_path / "pytest.xml"
    path.write_text("<testsuites><testsuite><testcase classname='m' name='a'/>"
                    "<testcase classname='m' name='b'><failure/></testcase>"
                    "<testcase classname='m' name='c'><error/></testcase>"
                    "<testcase classname='m' name='d'><skipped/></testcase></testsuite></testsuites>")
    counts, said = count(path)
    assert counts == "1 2"
    assert "m.b" in said and "m.c" in said and "m.d" not in said


def test_sums_and_missing_results(tmp_path):
    good = log(tmp_path / "testlog.json", ("a", "OK", "[  PASSED  ] 1 test(s).\n"))
    assert count(good, good, tmp_path / "none.xml")[0] == "2 1"
