"""One way to say that the *user* can mend something: a single clear line and exit code 2.

Every public door (loaders, recipes, scripts) raises :class:`UserError` with three parts in one sentence: what was
expected, what was found, what to do. Scripts wrap their ``main`` in :func:`exit_codes`; notebooks simply show the line.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable


class UserError(ValueError):
    """Something the user can mend. The message is one line: expected, found, remedy."""


def exit_codes(main: Callable[[], None]) -> Callable[[], None]:
    """Turn a :class:`UserError` into one line on stderr and exit code 2; any other exception stays a traceback."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return run
