"""What argparse refuses is one line that points at the help, also in a command's subcommands."""

from __future__ import annotations

import pytest

from spacemeshlab.arguments import Parser
from spacemeshlab.errors import UserError


@pytest.fixture
def parser():
    parser = Parser(prog="tool.py", description="What it does.\n\ntool.py FILE\ntool.py --count N")
    parser.add_argument("--count", type=int)
    make = parser.add_subparsers(dest="command", required=True).add_parser("make")
    make.add_argument("file")
    return parser


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], r"tool\.py --help, found a mistake: the following arguments are required: command; see --help for"),
        (["--count", "x"], r"found a mistake: argument --count: invalid int value: 'x'; see"),
        (["make", "a", "--odd"], r"found a mistake: unrecognized arguments: --odd; see"),
        (["make"], r"as in tool\.py make --help, found a mistake: the following arguments are required: file; see"),
        (["--count", "1\n2"], r"invalid int value: '1\\n2'"),
        (["make", "a", "b\nc"], r"unrecognized arguments: b c; see"),
    ],
)
def test_a_mistake_is_one_line(parser, capsys, words, line):
    with pytest.raises(UserError, match=line) as refused:
        parser.parse_args(words)
    assert "\n" not in str(refused.value)
    assert capsys.readouterr() == ("", "")


def test_the_help_keeps_the_lines_of_its_text(parser, capsys):
    with pytest.raises(SystemExit, match="0"):
        parser.parse_args(["--help"])
    assert "What it does.\n\ntool.py FILE\ntool.py --count N\n" in capsys.readouterr().out
