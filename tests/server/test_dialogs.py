"""The dialogues of tests/dialog, over loopback against the real server."""
import pathlib
import re

import pytest

from harness import Talk

HERE = pathlib.Path(__file__).resolve().parent.parent / "dialog"


def test_format_is_known():
    assert list(HERE.glob("*.smtp")), "dialogues are missing"
