"""The label tables against hand-written values and against Cityscapes' own script."""

import numpy as np
import pytest

from spacemeshlab.data.labels import (
    CAMVID,
    CITYSCAPES,
    IGNORE_INDEX,
    PASCAL_CONTEXT,
    PASCAL_CONTEXT_60,
    PASCAL_CONTEXT_IDS,
)

# class index by label id, copied by hand from the table in the Cityscapes paper's supplement
CITYSCAPES_INDEX = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9,
    23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip

# Name and id in the order in which "PASCAL in Detail" lists its classes: VOC's twenty, then the others. Written by hand
# and in another order than ours, so that a name that slipped to its neighbour's id is seen.
DETAIL_NAMES = """
    aeroplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person pottedplant sheep
    sofa train tvmonitor bag bed bench book building cabinet ceiling cloth computer cup door fence floor flower
    food grass ground keyboard light mountain mouse curtain platform sign plate road rock shelves sidewalk sky
    snow bedclothes track tree truck wall water window wood
""".split()
DETAIL_IDS = [
    2, 23, 25, 31, 34, 45, 59, 65, 72, 98, 397, 113, 207, 258, 284, 308, 347, 368, 416, 427, 9, 18, 22, 33, 44,
    46, 68, 80, 85, 104, 115, 144, 158, 159, 162, 187, 189, 220, 232, 259, 260, 105, 296, 355, 295, 324, 326,
    349, 354, 360, 366, 19, 415, 420, 424, 440, 445, 454, 458,
]  # fmt: skip
ALL = [CITYSCAPES, CAMVID, PASCAL_CONTEXT, PASCAL_CONTEXT_60]


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


def test_pascal_context_has_the_original_ids_in_alphabetical_order():
    assert dict(zip(PASCAL_CONTEXT.classes, PASCAL_CONTEXT_IDS, strict=True)) == dict(
        zip(DETAIL_NAMES, DETAIL_IDS, strict=True)
    )
    assert len(PASCAL_CONTEXT) == 59
    assert list(PASCAL_CONTEXT.classes) == sorted(PASCAL_CONTEXT.classes)
    assert list(PASCAL_CONTEXT_IDS) == sorted(PASCAL_CONTEXT_IDS)


def test_pascal_context_files_hold_the_index_plus_one_and_zero_for_background():
    assert PASCAL_CONTEXT.to_index[:60].tolist() == [IGNORE_INDEX, *range(59)]
    assert PASCAL_CONTEXT_60.to_index[:60].tolist() == [59, *range(59)]
    assert (PASCAL_CONTEXT.to_index[60:] == -1).all()
    assert PASCAL_CONTEXT_60.classes == (*PASCAL_CONTEXT.classes, "background")


def test_pascal_context_colours_are_those_of_voc():
    voc = [
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (128, 0, 128),
        (0, 128, 128),
        (128, 128, 128),
        (64, 0, 0),
    ]
    assert list(PASCAL_CONTEXT.palette[:8]) == voc
    assert PASCAL_CONTEXT.palette[19] == (0, 64, 128)  # VOC's twentieth, which is its television
    assert PASCAL_CONTEXT_60.palette == (*PASCAL_CONTEXT.palette, (0, 0, 0))


@pytest.mark.parametrize("labels", ALL, ids=lambda labels: labels.name)
def test_names_colours_and_values_are_complete_and_distinct(labels):
    assert len(set(labels.classes)) == len(set(labels.palette)) == len(set(labels.file_values)) == len(labels)
    assert len(labels.classes) == len(labels.palette) == len(labels.file_values)
    assert not set(labels.file_values) & set(labels.void_values)


@pytest.mark.parametrize("labels", ALL, ids=lambda labels: labels.name)
def test_index_to_file_value_and_back_is_the_identity(labels):
    indices = np.arange(len(labels))
    assert (labels.to_index[labels.to_file_value[indices]] == indices).all()


def test_colours_are_black_where_nothing_counts():
    assert CITYSCAPES.colours[IGNORE_INDEX].tolist() == [0, 0, 0]
    assert CITYSCAPES.colours[13].tolist() == [0, 0, 142]  # car
    assert CITYSCAPES.colours.dtype == np.uint8
