"""The ledger's entries, ``book/ledger.yml``, and what form they must have.

An entry is a claim, a setting, a reading or a contradiction of the paper. It holds no number of ours: ``ours`` says
where one is found, and ``evidence.py`` looks there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from spacemeshlab.errors import UserError

LEDGER = "book/ledger.yml"
KINDS = ("claim", "setting", "reading", "contradiction")
STATUSES = ("confirmed by arithmetic", "confirmed", "inside the noise", "contradicted", "not run")
ARITHMETIC, CONFIRMED, NOISE, CONTRADICTED, NOT_RUN = STATUSES
PARTS = ("table-1", "table-2", "table-3", "table-4", "text", "setting", "contradiction", "reading")

REQUIRED = ("id", "kind", "where", "claim", "test", "status", "link")
NEEDS = {"claim": ["quote"], "setting": ["quote"], "reading": ["reading", "if_wrong"]}
NEEDS["contradiction"] = ["quote", "reading"]
TESTS = {"command": str, "pytest": str, "cell": {"chapter", "prints"}}
OURS = {"cell": {"chapter", "prints"}, "result": {"file", "key", "format"}}
OURS |= {form: {"table", "row", "recipe"} for form in ("row", "step")}
MAY = {"step": {"against"}}  # what a form may have besides


@dataclass(frozen=True)
class Entry:
    """One entry; the fields are the keys of the file. ``test`` and ``ours`` have one key: their form."""

    id: str
    kind: str
    where: str
    claim: str
    test: Mapping[str, Any]
    status: str
    link: str
    quote: str | list[str] = ""
    reading: str = ""
    if_wrong: str = ""
    ours: Mapping[str, Any] | None = None

    @property
    def quotes(self) -> list[str]:
        return [self.quote] if isinstance(self.quote, str) and self.quote else list(self.quote)

    @property
    def part(self) -> str:
        """Where it stands on the page: a claim in one of the paper's tables, or in its text."""
        table = re.match(r"Table (\d), rows? ", self.where)
        return self.kind if self.kind != "claim" else f"table-{table[1]}" if table else "text"


def load(root: Path) -> list[Entry]:
    """The entries in the file's order.

    Raises:
        UserError: an entry that is none, with all that is wrong.
    """
    found = yaml.safe_load((root / LEDGER).read_text(encoding="utf-8")) or []
    wrong = list(malformed(found))
    if wrong:
        raise UserError(f"expected entries in {LEDGER} as its page describes them, found {'; '.join(wrong)}: mend them")
    return [Entry(**raw) for raw in found]


def malformed(found: object) -> Iterator[str]:
    """What keeps raw entries from being entries."""
    if not isinstance(found, list) or not all(isinstance(raw, dict) for raw in found):
        yield "no list of entries"
        return
    for name, times in Counter(str(raw.get("id")) for raw in found).items():
        if times > 1:
            yield f"{name} {times} times"
    for raw in found:
        yield from (f"{raw.get('id')}: {text}" for text in _malformed(raw))


def _malformed(raw: dict) -> Iterator[str]:
    if unknown := set(raw) - {field.name for field in fields(Entry)}:
        yield f"unknown {', '.join(sorted(map(str, unknown)))}"
    if missing := [key for key in [*REQUIRED, *NEEDS.get(raw.get("kind"), [])] if not raw.get(key)]:
        yield f"no {', '.join(missing)}"
        return
    for key in set(raw) - {"test", "ours"}:
        texts = raw[key] if key == "quote" and isinstance(raw[key], list) else [raw[key]]
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            yield f"{key} is no text"
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(raw["id"])):
        yield "its id is not in kebab-case"
    for key, known in (("kind", KINDS), ("status", STATUSES)):
        if raw[key] not in known:
            yield f"{key} {raw[key]!r}, none of {', '.join(known)}"
    for key, forms in (("test", TESTS), ("ours", OURS)):
        if key in raw and not _has_form(raw[key], forms):
            yield f"{key} is not exactly one of {', '.join(forms)} with its keys"


def _has_form(value: object, forms: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= set(forms):
        return False
    ((form, content),) = value.items()
    if forms[form] is str:
        return isinstance(content, str) and bool(content.strip())
    if not isinstance(content, dict) or set(content) - MAY.get(form, set()) != forms[form]:
        return False
    kinds = {"key": list, "table": int | str}
    return all(isinstance(part, kinds.get(key, str)) for key, part in content.items())
