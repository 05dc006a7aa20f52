"""A command's arguments, refused as everything here is refused: in one line and with exit code 2."""

from __future__ import annotations

import argparse
from typing import NoReturn

from spacemeshlab.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises a :class:`~spacemeshlab.errors.UserError` where argparse prints its usage and ends the process.

    Its ``main`` belongs into :func:`~spacemeshlab.errors.exit_codes`. The module's docstring, if given as
    ``description``, keeps its line breaks.
    """

    def __init__(self, *, formatter_class: type = argparse.RawDescriptionHelpFormatter, **options: object) -> None:
        super().__init__(formatter_class=formatter_class, **options)

    def error(self, message: str) -> NoReturn:
        found = " ".join(message.split())
        raise UserError(
            f"expected arguments as in {self.prog} --help, found a mistake: {found}; see --help for what is right"
        )
