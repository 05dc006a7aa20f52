"""What scripts leave as JSON: it loads everywhere, is short, and replaces a file in one step."""

from __future__ import annotations

import json
import math

from spacemeshlab.records import plain, write_record


def test_numbers_have_six_digits_however_small_and_what_is_none_becomes_null():
    assert plain(1 / 3) == 0.333333
    assert plain(2.00000049e-7) == 2e-7
    assert plain(1.23456789e-7) == 1.23457e-7
    assert plain({1: (math.nan, math.inf, 2, True, None, "a")}) == {"1": [None, None, 2, True, None, "a"]}


def test_a_row_of_numbers_is_a_line_and_other_tools_can_read_it(tmp_path):
    file = tmp_path / "record.json"
    values = {"rows": [[1, 2], [0.5, math.nan]], "name": "MetroCon²", "runs": [{"seed": 0}]}
    write_record(file, values)
    text = file.read_text(encoding="utf-8")
    assert "[ 1, 2 ]" in text
    assert "MetroCon²" in text
    assert json.loads(text) == {"rows": [[1, 2], [0.5, None]], "name": "MetroCon²", "runs": [{"seed": 0}]}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
