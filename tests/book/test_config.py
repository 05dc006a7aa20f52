"""_config.yml means what it says: Jupyter Book only prints mistakes in it and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import sphinx_book_theme
import yaml
from jupyter_book import config as jupyter_book

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())


def sphinx_config() -> dict:
    overrides = {"latex_individualpages": False}
    return jupyter_book.get_final_config(user_yaml=ROOT / "_config.yml", cli_config=overrides, sourcedir=ROOT)[0]


def test_the_configuration_is_valid_and_has_no_unknown_key():
    jupyter_book.validate_yaml(CONFIG, raise_on_errors=True)
    schema = json.loads(jupyter_book.PATH_JSON_SCHEMA.read_text())["properties"]
    defaults = yaml.safe_load(jupyter_book.PATH_YAML_DEFAULT.read_text())  # has keys that the schema forgot
    for key, value in CONFIG.items():
        assert key in {*schema, *defaults}, key
        if isinstance(value, dict) and key != "sphinx":
            assert set(value) <= {*schema[key]["properties"], *defaults[key]}, f"unknown key in {key}"


def test_notebooks_are_never_executed_and_only_listed_files_are_built():
    config = sphinx_config()
    assert config["nb_execution_mode"] == "off"
    assert config["external_toc_exclude_missing"] is True
    assert {"_build", ".*"} <= set(config["exclude_patterns"])


def test_no_button_needs_a_repository():
    options = sphinx_config()["html_theme_options"]
    buttons = ("use_repository_button", "use_issues_button", "use_edit_page_button")
    assert not any(options.get(button) for button in buttons)


def test_theme_options_are_options_of_the_theme():
    themes = Path(sphinx_book_theme.__file__).parents[1]
    known = "".join(path.read_text() for path in themes.glob("*_theme/theme/*/theme.conf"))
    for option in CONFIG["sphinx"]["config"]["html_theme_options"]:
        assert f"\n{option} " in known, option


def test_style_sheets_of_the_book_exist():
    config = sphinx_config()
    (folder,) = config["html_static_path"]
    for name in config["html_css_files"]:
        assert (ROOT / folder / name).is_file()
