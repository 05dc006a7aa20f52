"""A user's mistake is one line and exit code 2; a fault of ours stays a traceback."""

from __future__ import annotations

import pytest

from spacemeshlab.errors import UserError, exit_codes


def test_a_user_error_becomes_one_line_on_stderr_and_exit_code_2(capsys):
    @exit_codes
    def main() -> None:
        raise UserError("expected a, found b: do c")

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr() == ("", "error: expected a, found b: do c\n")


def test_any_other_error_passes_unchanged():
    @exit_codes
    def main() -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        main()


def test_a_main_that_succeeds_exits_with_0_and_keeps_its_name(capsys):
    @exit_codes
    def main() -> None:
        """What it does."""
        print("done")

    assert main() is None
    assert capsys.readouterr().out == "done\n"
    assert (main.__name__, main.__doc__) == ("main", "What it does.")


def test_whoever_catches_value_errors_catches_a_user_error():
    assert issubclass(UserError, ValueError)
