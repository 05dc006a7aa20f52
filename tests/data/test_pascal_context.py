"""Pascal-Context out of both releases of its labels, in files of their true formats, whole and damaged."""

import json
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import io as scipy_io

from spacemeshlab.data import PascalContext, PascalContext60, _pascal_labels, open_dataset
from spacemeshlab.data._counts import count_sentence
from spacemeshlab.data.labels import IGNORE_INDEX, PASCAL_CONTEXT
from spacemeshlab.errors import UserError

coco = pytest.importorskip("pycocotools.mask")

# pycocotools speaks to NumPy in the way of before 2.0
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TRAIN, VAL = ["2008_000002", "2009_000001"], ["2008_000003", "2008_000007", "2010_006086"]
ROAD, GRASS, BAG, PERSON, WOOD = 324, 187, 9, 284, 458  # original ids, out of labels.txt


def scene(stem):
    """Original ids (20, 23): grass on the left, road on the right, a person, and three ids that are no class."""
    ids = np.full((20, 23), GRASS, dtype=np.uint16)
    ids[:, 12:] = ROAD
    ids[4:9, 3:6] = PERSON
    ids[0, :3] = (1, 265, 459)  # 265 is the bag's id, 9, once it is cut to eight bits
    ids[19, 22] = WOOD if stem in VAL else BAG
    return ids


def write_images(voc):
    (voc / "JPEGImages").mkdir(parents=True)
    for number, stem in enumerate([*TRAIN, *VAL]):
        Image.new("RGB", (23, 20), (40 * number,) * 3).save(voc / "JPEGImages" / f"{stem}.jpg")
    return voc


def write_lists(folder, name="{}.txt", line="{0}"):
    folder.mkdir(parents=True, exist_ok=True)
    for split, stems in (("train", TRAIN), ("val", VAL)):
        (folder / name.format(split)).write_text("".join(line.format(stem) + "\n" for stem in stems))


def write_mat(folder, scenes=scene):
    folder.mkdir(parents=True, exist_ok=True)
    for stem in [*TRAIN, *VAL]:
        scipy_io.savemat(folder / f"{stem}.mat", {"LabelMap": scenes(stem)}, do_compression=True)


def encode(mask):
    return {"size": [*mask.shape], "counts": coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()}


def detail(scenes=scene):
    """What trainval_merged.json holds, with the parts, boundaries and tables that labels do not need."""
    data = {"info": {"version": "1.0"}, "images": [], "annos_segmentation": [], "annos_boundary": [], "parts": []}
    data["categories"] = [{"category_id": GRASS, "name": "grass", "supercategory": "background", "parts": [1]}]
    data["annos_occlusion"] = [{"image_id": 2008000002, "occlusion": encode(np.ones((20, 23)))}]
    for stem in [*VAL, *TRAIN]:
        number, ids = int(stem.replace("_", "")), scenes(stem)
        image = {"file_name": f"{stem}.jpg", "image_id": number, "width": 23, "height": 20, "date_captured": "2008"}
        data["images"].append({**image, "phase": "val" if stem in VAL else "train"})
        data["annos_boundary"].append({"image_id": number, "boundaries": encode(ids == ROAD)})
        for label_id in np.unique(ids):
            mask = encode(ids == label_id)
            parts = [{"part_id": 255, "superpart": "head", "segmentation": encode(ids == GRASS)}]
            record = {"id": len(data["annos_segmentation"]), "image_id": number, "category_id": int(label_id)}
            data["annos_segmentation"].append({**record, "segmentation": mask, "parts": parts, "iscrowd": 0})
    return data


def write_detail(path, data=None):
    path.write_text(json.dumps(data or detail()))
    return path


@pytest.fixture
def mat_root(tmp_path):
    """The original release as its site and VOC2010's archive unpack."""
    write_lists(write_images(tmp_path / "VOCdevkit" / "VOC2010") / "ImageSets" / "Main")
    write_mat(tmp_path / "trainval")
    return tmp_path


@pytest.fixture
def detail_root(tmp_path):
    """PASCAL in Detail where other packages want it."""
    write_detail(write_images(tmp_path / "VOCdevkit" / "VOC2010") / "trainval_merged.json")
    return tmp_path


def labels_of(root):
    return root / "VOCdevkit" / "VOC2010" / "trainval_merged_labels"


def name_at(dataset, row, column):
    index = int(dataset[0][1][row, column])
    return "void" if index == IGNORE_INDEX else dataset.labels.classes[index]


@pytest.fixture
def drawn(monkeypatch):
    """The names of the images whose masks were decoded."""
    names, draw = [], _pascal_labels._draw
    monkeypatch.setattr(
        _pascal_labels, "_draw", lambda image, *rest: names.append(image["file_name"]) or draw(image, *rest)
    )
    return names


@pytest.mark.parametrize("release", ["mat_root", "detail_root"])
def test_original_ids_become_the_classes_of_labels_txt_in_both_releases(release, request):
    dataset = PascalContext(request.getfixturevalue(release), "val")
    image, target = dataset[0]
    assert (image.shape, image.dtype) == ((3, 20, 23), torch.uint8)
    assert (target.shape, target.dtype) == ((20, 23), torch.int64)
    assert [name_at(dataset, *at) for at in ((10, 0), (10, 20), (5, 4), (19, 22))] == [
        "grass",
        "road",
        "person",
        "wood",
    ]
    assert [name_at(dataset, 0, column) for column in range(3)] == ["void"] * 3
    assert dataset.source == release.removesuffix("_root")


@pytest.mark.parametrize("split", ["train", "val"])
def test_both_releases_of_the_same_scenes_give_the_same_targets(mat_root, tmp_path, split):
    (tmp_path / "json").mkdir()
    write_detail(tmp_path / "json" / "trainval_merged.json")
    (tmp_path / "json" / "VOC2010").symlink_to(tmp_path / "VOCdevkit" / "VOC2010")
    original, merged = PascalContext(mat_root, split), PascalContext(tmp_path / "json", split)
    assert [path.stem for _, path in original.files] == [path.stem for _, path in merged.files]
    assert (original.source, merged.source) == ("mat", "detail")
    for (_, one), (_, other) in zip(original, merged, strict=True):
        assert torch.equal(one, other)


def test_ids_above_255_are_never_cut_to_eight_bits(mat_root):
    ids = np.arange(460, dtype=np.uint16).reshape(20, 23)
    write_mat(mat_root / "trainval", lambda stem: ids)
    target = PascalContext(mat_root, "train")[0][1].flatten()
    assert target[258] == PASCAL_CONTEXT.classes.index("motorbike")  # 258 % 256 = 2, aeroplane
    assert target[415] == PASCAL_CONTEXT.classes.index("track")  # 415 % 256 = 159, flower
    assert target[265] == IGNORE_INDEX  # 265 % 256 = 9, bag
    assert (target != IGNORE_INDEX).sum() == 59
    assert target[target != IGNORE_INDEX].tolist() == list(range(59))


def test_label_maps_that_were_already_cut_to_eight_bits_are_refused(mat_root):
    write_mat(mat_root / "trainval", lambda stem: scene(stem).astype(np.uint8))
    with pytest.raises(
        UserError, match=r"2009_000001\.mat: expected LabelMap .* uint16, found LabelMap .* uint8: .* 255"
    ):
        PascalContext(mat_root, "train")[1]


@pytest.mark.parametrize("release", ["mat_root", "detail_root"])
def test_the_sixty_class_set_has_the_same_indices_and_background_where_the_other_is_void(release, request):
    root = request.getfixturevalue(release)
    of_59, of_60 = open_dataset("pascal-context", root, "val"), open_dataset("pascal-context-60", root, "val")
    assert (type(of_59), type(of_60)) == (PascalContext, PascalContext60)
    one, other = of_59[0][1], of_60[0][1]
    assert of_60.labels.classes[59] == "background"
    assert torch.equal(other, torch.where(one == IGNORE_INDEX, 59, one))
    assert (other == 59).sum() == 3


@pytest.mark.parametrize("voc", ["", "VOC2010", "VOCdevkit/VOC2010"])
@pytest.mark.parametrize("labels", ["", "VOC"])
@pytest.mark.parametrize("release", ["trainval", "GroundTruth_trainval_mat", "trainval_merged.json"])
def test_the_layouts_that_people_have_are_found(tmp_path, voc, labels, release):
    write_lists(write_images(tmp_path / voc) / "ImageSets" / "Main")
    place = (tmp_path / voc if labels else tmp_path) / release
    (write_detail if release.endswith("json") else write_mat)(place)
    dataset = PascalContext(tmp_path, "val")
    assert [image.stem for image, _ in dataset.files] == VAL
    assert name_at(dataset, 5, 4) == "person"


def test_the_original_release_is_read_where_both_are_there(mat_root, drawn):
    write_detail(mat_root / "trainval_merged.json")
    assert PascalContext(mat_root, "val").source == "mat"
    assert drawn == []


@pytest.mark.parametrize(
    "name", ["pascal_context_{}.txt", "pascalcontext_{}.txt", "ImageSets/SegmentationContext/{}.txt"]
)
def test_other_lists_of_the_split_are_read_too(mat_root, name):
    (mat_root / "VOCdevkit" / "VOC2010" / "ImageSets" / "Main").rename(mat_root / "elsewhere")
    write_lists((mat_root / name).parent, name.rsplit("/")[-1], "JPEGImages/{0}.jpg GroundTruth_trainval_png/{0}.png")
    assert [image.stem for image, _ in PascalContext(mat_root, "val").files] == VAL


def test_the_lists_of_pascal_context_come_before_those_of_voc(mat_root):
    (mat_root / "pascal_context_val.txt").write_text(f"{VAL[1]}\n\n")
    assert [image.stem for image, _ in PascalContext(mat_root, "val").files] == [VAL[1]]


def test_no_list_of_the_split_says_which_download_has_one(mat_root):
    (mat_root / "VOCdevkit" / "VOC2010" / "ImageSets" / "Main" / "val.txt").unlink()
    expected = (
        r"list of the val images, found none of pascal_context_val\.txt.*ImageSets/Main/val\.txt.*: unpack VOCtrainval"
    )
    with pytest.raises(UserError, match=expected):
        PascalContext(mat_root, "val")


def test_a_list_without_images_is_refused(mat_root):
    (mat_root / "pascal_context_val.txt").write_text("\n")
    with pytest.raises(UserError, match=r"trainval: expected labels of this split, found a list without images"):
        PascalContext(mat_root, "val")


def test_no_labels_at_all_says_what_to_download(tmp_path):
    write_images(tmp_path / "VOC2010")
    (tmp_path / "trainval").mkdir()  # empty: not the release
    with pytest.raises(
        UserError, match=r"found neither trainval/\*\.mat nor trainval_merged\.json: unpack trainval\.tar"
    ):
        PascalContext(tmp_path, "val")


def test_missing_photographs_are_told_from_missing_labels(mat_root):
    (mat_root / "VOCdevkit" / "VOC2010" / "JPEGImages" / f"{VAL[0]}.jpg").unlink()
    with pytest.raises(UserError, match=r"2008_000003\.mat: expected its partner .*JPEGImages/2008_000003\.jpg"):
        PascalContext(mat_root, "val")
    (mat_root / "trainval" / f"{VAL[0]}.mat").unlink()
    with pytest.raises(
        UserError, match=r"2008_000003\.jpg: expected this image of the split's list and its label, found"
    ):
        PascalContext(mat_root, "val")
    (mat_root / "VOCdevkit" / "VOC2010" / "JPEGImages").rename(mat_root / "elsewhere")
    with pytest.raises(UserError, match=r"expected JPEGImages there or in VOC2010, found neither: unpack VOCtrainval"):
        PascalContext(mat_root, "val")


def test_a_missing_root_and_a_split_without_labels_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere, found no such folder: unpack VOCtrainval_03-May-2010\.tar"):
        PascalContext(tmp_path / "nowhere", "val")
    with pytest.raises(UserError, match=r"expected the split train or val, got 'test'"):
        PascalContext(tmp_path, "test")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"Labels": np.ones((20, 23), dtype=np.uint16)}, "no LabelMap"),
        ({"LabelMap": np.ones((20, 23))}, r"LabelMap \(20, 23\) float64"),
        ({"LabelMap": np.full((20, 23), 460, dtype=np.uint16)}, "460-460"),
    ],
)
def test_mat_files_of_another_kind_are_refused_with_what_was_found(mat_root, content, found):
    scipy_io.savemat(mat_root / "trainval" / f"{VAL[0]}.mat", content)
    with pytest.raises(UserError, match=rf"2008_000003\.mat: expected .*, found {found}: take the files as downloaded"):
        PascalContext(mat_root, "val")[0]


@pytest.mark.parametrize("keep", [0, 60, 150, 0.9])
def test_a_truncated_mat_file_is_an_error_that_names_it(mat_root, keep):
    path = mat_root / "trainval" / f"{VAL[0]}.mat"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep == 0.9 else keep])
    with pytest.raises(UserError, match=r"2008_000003\.mat: expected .*: (restore it from|take the files)") as caught:
        PascalContext(mat_root, "val")[0]
    assert "\n" not in str(caught.value)


def test_a_vanished_mat_file_and_one_of_another_size_are_named(mat_root):
    dataset = PascalContext(mat_root, "val")
    scipy_io.savemat(dataset.files[1][1], {"LabelMap": np.ones((19, 23), dtype=np.uint16)})
    with pytest.raises(UserError, match=r"2008_000007\.mat: expected the size of its image 2008_000007\.jpg, 20x23"):
        dataset[1]
    dataset.files[0][1].unlink()
    with pytest.raises(UserError, match=r"2008_000003\.mat: expected a label file, found no such file"):
        dataset[0]


def test_a_missing_package_is_answered_with_the_extra_that_has_it(detail_root, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    expected = r'expected pycocotools to .*, found none: pip install "spacemeshlab\[pascal\]"'
    with pytest.raises(UserError, match=expected):
        PascalContext(detail_root, "val")[0]


def test_a_later_mask_covers_an_earlier_one_also_with_an_id_of_no_class(detail_root):
    data = detail()
    image = {"image_id": int(VAL[0].replace("_", "")), "iscrowd": 0}
    corner = np.zeros((20, 23))
    corner[:4, 20:] = 1
    for label_id, mask in ((PERSON, corner), (300, np.flipud(np.fliplr(corner)))):
        data["annos_segmentation"].append({**image, "category_id": label_id, "segmentation": encode(mask), "id": 0})
    write_detail(labels_of(detail_root).with_name("trainval_merged.json"), data)
    dataset = PascalContext(detail_root, "val")
    assert [name_at(dataset, *at) for at in ((3, 21), (17, 1), (17, 4))] == ["person", "void", "grass"]


def test_detail_is_decoded_once_to_files_that_hold_the_class_index_plus_one(detail_root, drawn):
    assert len(PascalContext(detail_root, "val")) == 3
    assert sorted(drawn) == sorted(f"{stem}.jpg" for stem in [*TRAIN, *VAL])
    assert [path.stem for path in sorted(labels_of(detail_root).glob("*.png"))] == sorted([*TRAIN, *VAL])
    picture = Image.open(labels_of(detail_root) / f"{TRAIN[0]}.png")
    assert picture.mode == "L"
    expected = {0, *(PASCAL_CONTEXT.classes.index(name) + 1 for name in ("grass", "road", "person", "bag"))}
    assert set(np.unique(picture)) == expected
    drawn.clear()
    assert len(PascalContext(detail_root, "train")) == 2
    assert drawn == []
    labels_of(detail_root).with_name("trainval_merged.json").unlink()
    assert len(PascalContext(detail_root, "train")) == 2  # the 590 MB are not needed any more


@pytest.mark.parametrize("after", [0, 1, 4])
def test_decoding_that_was_killed_goes_on_where_it_stopped(detail_root, drawn, monkeypatch, after):
    counting = _pascal_labels._draw

    def die(*arguments):
        if len(drawn) == after:
            raise KeyboardInterrupt
        return counting(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(_pascal_labels, "_draw", die)
        with pytest.raises(KeyboardInterrupt):
            PascalContext(detail_root, "val")
    assert "splits" not in json.loads((labels_of(detail_root) / "source.json").read_text())
    dataset = PascalContext(detail_root, "val")
    assert len(drawn) == len(set(drawn)) == 5
    assert [name_at(dataset, *at) for at in ((10, 0), (5, 4))] == ["grass", "person"]


def test_decoded_labels_that_were_lost_are_made_again(detail_root, drawn):
    dataset = PascalContext(detail_root, "val")
    dataset.files[1][1].unlink()
    drawn.clear()
    assert len(PascalContext(detail_root, "val")) == 3
    assert drawn == [f"{VAL[1]}.jpg"]


def test_unfinished_labels_without_their_source_are_refused(detail_root, monkeypatch):
    monkeypatch.setattr(_pascal_labels, "_draw", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        PascalContext(detail_root, "val")
    labels_of(detail_root).with_name("trainval_merged.json").unlink()
    with pytest.raises(
        UserError, match=r"trainval_merged_labels is unfinished; found none: download .*590 MB, sha1 1693"
    ):
        PascalContext(detail_root, "val")


@pytest.mark.parametrize("killed", [False, True])
def test_another_version_of_the_json_is_decoded_anew(detail_root, drawn, monkeypatch, killed):
    PascalContext(detail_root, "val")
    path = labels_of(detail_root).with_name("trainval_merged.json")
    write_detail(path, detail(lambda stem: np.full((20, 23), BAG, dtype=np.uint16)))
    if killed:  # while the folder is being emptied
        with monkeypatch.context() as patch:
            patch.setattr(type(path), "unlink", interrupt_at(f"{VAL[0]}.png", type(path).unlink))
            with pytest.raises(KeyboardInterrupt):
                PascalContext(detail_root, "val")
        assert len(list(labels_of(detail_root).glob("*.png"))) > 0
    drawn.clear()
    assert PascalContext(detail_root, "val")[0][1].unique().tolist() == [PASCAL_CONTEXT.classes.index("bag")]
    assert len(drawn) == 5


def interrupt_at(name, unlink):
    def interrupted(path, *arguments, **keywords):
        if path.name == name:
            raise KeyboardInterrupt
        unlink(path, *arguments, **keywords)

    return interrupted


def test_pictures_of_others_are_never_deleted_and_another_folder_can_be_named(detail_root, write, tmp_path):
    picture = labels_of(detail_root) / "holiday.png"
    write(picture, np.zeros((2, 2), dtype=np.uint8))
    with pytest.raises(UserError, match=r"labels: expected an empty folder .*, found holiday\.png and no source\.json"):
        PascalContext(detail_root, "val")
    assert picture.is_file()
    dataset = PascalContext(detail_root, "val", decoded=tmp_path / "decoded")
    assert dataset.files[0][1] == tmp_path / "decoded" / f"{VAL[0]}.png"


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(detail_root):
    labels_of(detail_root).touch()
    with pytest.raises(
        UserError, match=r"expected to write the labels of trainval_merged\.json there, found: .*: mend"
    ):
        PascalContext(detail_root, "val")


def test_of_two_that_open_it_at_once_one_decodes_and_the_other_waits(detail_root, drawn, monkeypatch):
    pytest.importorskip("fcntl")
    counting, lengths = _pascal_labels._draw, []
    other = threading.Thread(target=lambda: lengths.append(len(PascalContext(detail_root, "train"))))

    def draw(*arguments):
        if not drawn:
            drawn.append("started")
            other.start()
            other.join(timeout=0.3)  # without the lock it would have decoded everything by now
        return counting(*arguments)

    monkeypatch.setattr(_pascal_labels, "_draw", draw)
    assert len(PascalContext(detail_root, "val")) == 3
    other.join()
    assert lengths == [2]
    assert len(drawn) == 1 + 5


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text[:-200], "JSONDecodeError"),
        (lambda text: "[]", "TypeError"),
        (lambda text: json.dumps({"images": [], "annotations": []}), "TypeError"),
        (lambda text: text.replace('"phase"', '"set"'), "TypeError"),
        (lambda text: text.replace('"image_id": 2008000003', '"image_id": 1', 1), "KeyError"),
    ],
)
def test_a_damaged_json_file_is_answered_with_the_download_and_its_sum(detail_root, damage, found):
    path = labels_of(detail_root).with_name("trainval_merged.json")
    path.write_text(damage(path.read_text()))
    expected = (
        rf"merged\.json: expected images and annos_.*, found [\d,]+ bytes .*\({found}: .*\): download .* sha1 1693"
    )
    with pytest.raises(UserError, match=expected) as caught:
        PascalContext(detail_root, "val")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("segmentation", "label_id", "found"),
    [
        (encode(np.ones((23, 20))), GRASS, r"size \[23, 20\] and id 187"),
        (encode(np.ones((20, 23))), 460, r"size \[20, 23\] and id 460"),
        ([[0, 0, 5, 0, 5, 5]], GRASS, "size None and id 187"),
    ],
)
def test_masks_that_do_not_fit_their_image_are_refused(detail_root, segmentation, label_id, found):
    data = detail()
    data["annos_segmentation"][0].update(segmentation=segmentation, category_id=label_id)
    write_detail(labels_of(detail_root).with_name("trainval_merged.json"), data)
    with pytest.raises(
        UserError, match=rf"size \[20, 23\] and ids 0-459 for 2008_000003\.jpg, found {found}: download"
    ):
        PascalContext(detail_root, "val")


def test_the_published_sizes_of_both_releases_are_accepted_and_told_apart():
    assert PascalContext.official == {"train": (4998, 4996), "val": (5105, 5104)}
    official = PascalContext.official["val"]
    assert count_sentence("A", "val", 5105, official) == "A, 5,105 val images"
    assert count_sentence("A", "val", 5104, official) == "A, 5,104 val images (the paper: 5,105)"
    expected = "A, 1 val image (not the published split, which has 5,105 or 5,104)"
    assert count_sentence("A", "val", 1, official) == expected


def test_the_sentence_names_the_release_and_the_size(mat_root, monkeypatch):
    published = "(not the published split, which has 5,105 or 5,104)"
    assert PascalContext(mat_root, "val").origin == f"Pascal-Context, original release, 3 val images {published}"
    monkeypatch.setattr(PascalContext, "official", {"train": (2, 1), "val": (4, 3)})
    assert PascalContext(mat_root, "train").origin == "Pascal-Context, original release, 2 train images"
    (mat_root / "trainval").rename(mat_root / "elsewhere")
    write_detail(mat_root / "trainval_merged.json")
    assert PascalContext60(mat_root, "val").origin == "PASCAL in Detail, 3 val images (the paper: 4)"
