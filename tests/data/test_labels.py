"""The label tables against hand-written values and against Cityscapes' own script."""

import numpy as np
import pytest

from spacemeshlab.data.labels import CAMVID, CITYSCAPES, IGNORE_INDEX

# class index by label id, copied by hand from the table in the Cityscapes paper's supplement
CITYSCAPES_INDEX = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9,
    23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip


def test_cityscapes_ids_map_to_the_nineteen_indices_and_all_others_to_void():
    table = CITYSCAPES.to_index
    assert {label: int(table[label]) for label in CITYSCAPES_INDEX} == CITYSCAPES_INDEX
    others = [label for label in range(34) if label not in CITYSCAPES_INDEX]
    assert (table[others] == IGNORE_INDEX).all()
    assert (table[34:] == -1).all()


def test_cityscapes_table_equals_the_one_of_cityscapes_own_script():
    official = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    evaluated = sorted((label for label in official if not label.ignoreInEval), key=lambda label: label.trainId)
    assert [label.trainId for label in evaluated] == list(range(len(CITYSCAPES)))
    assert CITYSCAPES.classes == tuple(label.name for label in evaluated)
    assert CITYSCAPES.file_values == tuple(label.id for label in evaluated)
    assert CITYSCAPES.palette == tuple(label.color for label in evaluated)
    assert CITYSCAPES.categories == tuple(label.category for label in evaluated)
    assert set(CITYSCAPES.void_values) == {label.id for label in official if label.ignoreInEval and label.id >= 0}


def test_camvid_files_hold_the_class_index_and_eleven_for_void():
    assert len(CAMVID) == 11
    assert CAMVID.to_index[:12].tolist() == [*range(11), IGNORE_INDEX]
    assert CAMVID.to_index[12] == -1
    assert CAMVID.classes[2] == "pole"
    assert CAMVID.classes[10] == "bicyclist"


@pytest.mark.parametrize("labels", [CITYSCAPES, CAMVID], ids=lambda labels: labels.name)
def test_names_colours_and_values_are_complete_and_distinct(labels):
    assert len(set(labels.classes)) == len(set(labels.palette)) == len(set(labels.file_values)) == len(labels)
    assert len(labels.classes) == len(labels.palette) == len(labels.file_values)
    assert not set(labels.file_values) & set(labels.void_values)


@pytest.mark.parametrize("labels", [CITYSCAPES, CAMVID], ids=lambda labels: labels.name)
def test_index_to_file_value_and_back_is_the_identity(labels):
    indices = np.arange(len(labels))
    assert (labels.to_index[labels.to_file_value[indices]] == indices).all()


def test_colours_are_black_where_nothing_counts():
    assert CITYSCAPES.colours[IGNORE_INDEX].tolist() == [0, 0, 0]
    assert CITYSCAPES.colours[13].tolist() == [0, 0, 142]  # car
    assert CITYSCAPES.colours.dtype == np.uint8
