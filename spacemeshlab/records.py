"""JSON that scripts leave for the book: one form, no NaN, a row of numbers on a line."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from spacemeshlab.checkpoint import write_atomically


def plain(values: Any) -> Any:
    """Ready for JSON: numbers with six digits, null for what is no finite number, names as text, tuples as lists."""
    if isinstance(values, dict):
        return {str(key): plain(one) for key, one in values.items()}
    if isinstance(values, list | tuple):
        return [plain(one) for one in values]
    if isinstance(values, float):
        return float(f"{values:.6g}") if math.isfinite(values) else None
    return values


def write_record(path: Path, values: Any) -> None:
    """Write :func:`plain` values as JSON, atomically.

    Raises:
        UserError: no room, or no right to write there.
    """
    text = json.dumps(plain(values), indent=2, ensure_ascii=False)
    text = re.sub(r"\[[^][{}]*\]", lambda match: " ".join(match[0].split()), text)
    write_atomically(path, lambda draft: draft.write_text(text + "\n", encoding="utf-8"))
