"""CITATION.cff says what pyproject.toml, the licence and the bibliography say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
(PAPER,) = CITATION["references"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY = parse_file(str(ROOT / "book" / "references.bib")).entries["kim2021spacemeshlab"]
REQUIRED = {"": ("cff-version", "message", "title", "authors"), "reference": ("type", "title", "authors")}
KNOWN = {
    "": {*REQUIRED[""], "type", "version", "abstract", "license", "keywords", "references"},
    "reference": {*REQUIRED["reference"], "year", "identifiers", "url"},
}


@pytest.mark.parametrize(("kind", "record"), [("", CITATION), ("reference", PAPER)])
def test_it_has_the_fields_that_the_format_asks_for_and_no_unknown_one(kind, record):
    assert set(REQUIRED[kind]) <= set(record) <= KNOWN[kind]
    assert all(record[key] for key in record)
    for author in record["authors"]:
        assert set(author) in ({"name"}, {"family-names", "given-names"})


def test_it_is_of_the_formats_version_and_about_software():
    assert (CITATION["cff-version"], CITATION["type"]) == ("1.2.0", "software")


def test_version_authors_and_licence_are_the_projects():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["authors"] == PROJECT["authors"]
    assert CITATION["license"] == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{CITATION['license']} License")


def test_the_title_is_the_books_and_the_abstract_the_projects():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert CITATION["title"] == config["title"]
    assert CITATION["abstract"] == f"{PROJECT['description']}."


def test_the_paper_is_the_one_in_the_bibliography():
    assert PAPER["title"] == re.sub(r"[{}]", "", ENTRY.fields["title"])
    assert PAPER["year"] == int(ENTRY.fields["year"])
    assert PAPER["url"] == ENTRY.fields["url"]
    authors = [(" ".join(one.last_names), " ".join(one.first_names)) for one in ENTRY.persons["author"]]
    assert [(one["family-names"], one["given-names"]) for one in PAPER["authors"]] == authors
    (number,) = PAPER["identifiers"]
    assert number == {"type": "other", "value": f"arXiv:{PAPER['url'].rpartition('/')[2]}"}
    assert ENTRY.fields["note"].startswith(f"{number['value']}.")
