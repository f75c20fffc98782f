"""Folders of images: what is read, what is cached, and one line for each way they can be bad."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from baselines.xray import Xray, XraySettings, data, decoded, sources
from bench.errors import BenchError

CPU = torch.device("cpu")
SIDE = 16


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep decoded images in a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trainpairs" / "xray"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a task of two classes, dark and light, with 6, 3 and 3 images of each."""
    return make_task(tmp_path / "lungs", ("dark", "light"))


def make_task(folder: Path, classes: tuple[str, ...]) -> Path:
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3), ("test", 3)):
        for level, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 60, (24, 20)) + 180 * level // (len(classes) - 1)
                picture(pixels.astype(np.uint8), folder / part / name / f"{number}.png")
    return folder


def picture(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path)


def settings(folder: Path, **changes: object) -> XraySettings:
    values = {"dataset": str(folder), "image_size": SIDE, "batch_size": 4, **changes}
    return XraySettings.model_validate(values)


def load(folder: Path, **changes: object) -> data.TaskData:
    (task,), _ = data.load(settings(folder, **changes), CPU)
    return task


def test_images_are_read_part_by_part_with_the_classes_of_their_folders(folder: Path) -> None:
    task = load(folder)
    assert task.classes == ("dark", "light")
    assert task.validation is not None
    assert [len(part) for part in (task.train, task.validation, task.test)] == [12, 6, 6]
    assert task.train.images.shape == (12, 1, SIDE, SIDE)
    assert task.train.images.dtype == torch.uint8
    means = task.train.images.float().mean((1, 2, 3))
    assert torch.equal(means > 100, task.train.classes == 1)


def test_five_classes_give_five_logits(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "five", ("a", "b", "c", "d", "e"))
    task = load(folder)
    assert (task.outputs, load_two_outputs(tmp_path)) == (5, 1)
    job = Xray().job(settings(folder, width=0.1), CPU, 0)
    assert job.model(*job.sample(3)).shape == (3, 5)
    found = job.evaluate(job.model)
    assert {f"accuracy.{name}" for name in "abcde"} < found.keys()
    assert 0 <= found["auroc"] <= 1


def load_two_outputs(tmp_path: Path) -> int:
    return load(make_task(tmp_path / "two", ("a", "b"))).outputs


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "P", "RGBA", "LA", "I;16", "1"])
@pytest.mark.parametrize("colour", [False, True])
def test_images_of_any_mode_are_read(tmp_path: Path, mode: str, colour: bool) -> None:
    grey = Image.fromarray(np.full((20, 20), 128, dtype=np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 128 << 8, dtype=np.uint16))
    else:
        image = Image.new("L", (20, 20), 255) if mode == "1" else grey
        image = image.convert("RGB").convert(mode) if mode in ("CMYK", "P") else image.convert(mode)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    found = decoded.image(path, SIDE, colour)
    assert found.shape == (3 if colour else 1, SIDE, SIDE)
    assert abs(int(found.mean()) - (255 if mode == "1" else 128)) <= 2


RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
"""Dark left, bright right."""


def ramp(path: Path, values: np.ndarray = RAMP, **options: Any) -> np.ndarray:
    Image.fromarray(values).save(path, **options)
    made: np.ndarray = decoded.image(path, SIDE, False)[0]
    return made


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_images_of_16_bits_are_scaled_by_the_bits_they_use(
    tmp_path: Path, bits: int, suffix: str
) -> None:
    plain = ramp(tmp_path / "plain.png")
    deep = ramp(tmp_path / f"deep{suffix}", RAMP.astype(np.uint16) << (bits - 8))
    assert np.array_equal(deep, plain)


def test_white_is_white_where_a_tiff_says_that_it_is_0(tmp_path: Path) -> None:
    plain = ramp(tmp_path / "plain.png")
    white = (255 - RAMP).astype(np.uint16) * 16
    deep = ramp(tmp_path / "deep.tif", np.where(RAMP == 0, 4095, white), tiffinfo={262: 0})
    assert np.abs(deep.astype(int) - plain).max() <= 1


@pytest.mark.parametrize(
    "values", [RAMP / np.float32(255), RAMP * np.float32(257), RAMP.astype(np.int32) * 257]
)
def test_values_of_32_bits_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(BenchError, match=r"deep\.tif holds 32-bit values.* convert it to 8 or 16"):
        ramp(tmp_path / "deep.tif", values)


def test_colours_of_16_bits_that_use_fewer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "colours.png"
    path.write_bytes(deep_png(np.stack([RAMP.astype(np.uint16) * 16] * 3, -1)))
    with pytest.raises(BenchError, match=r"colours\.png holds 16 bits a colour and uses fewer"):
        decoded.image(path, SIDE, True)
    path.write_bytes(deep_png(np.stack([RAMP.astype(np.uint16) * 257] * 3, -1)))
    assert np.array_equal(decoded.image(path, SIDE, False)[0], ramp(tmp_path / "plain.png"))


def deep_png(values: np.ndarray) -> bytes:
    """Return a PNG of 16 bits a colour, which Pillow reads and doesn't write."""
    high, wide, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", wide, high, 16, 2, 0, 0, 0)),
             (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]  # fmt: skip
    chunks = (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_images_are_turned_as_they_are_shown(tmp_path: Path, suffix: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    values = np.where(np.arange(64) < 32, RAMP, RAMP // 2 + 64 * (np.arange(64)[:, None] < 32))
    found = ramp(tmp_path / f"turned{suffix}", values.astype(np.uint8), exif=exif)
    with Image.open(tmp_path / f"turned{suffix}") as opened:
        shown = ImageOps.exif_transpose(opened).convert("L").resize((SIDE, SIDE))
    assert np.abs(found.astype(int) - np.asarray(shown)).max() <= 12


def test_what_was_done_to_images_is_told(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    train = folder / "train" / "dark"
    ramp(train / "7.jpg", exif=exif)
    ramp(train / "8.png", RAMP.astype(np.uint16) * 16)
    Image.fromarray(np.stack([RAMP, RAMP], -1), "LA").save(train / "9.png")
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1])]
    frames[0].save(train / "10.tif", save_all=True, append_images=frames[1:])
    assert load(folder).notes == (
        "lungs: 1 images are of 16 bits a pixel, scaled by the bits that the training part uses",
        "lungs: 1 images are of several pictures, the first of which was read",
        "lungs: 1 images are transparent in part, which was not regarded",
        "lungs: 1 images are turned as their EXIF orientation says",
    )


def test_all_images_of_16_bits_are_scaled_as_the_brightest_of_the_training_part(
    folder: Path,
) -> None:
    for part in ("train", "test"):
        ramp(folder / part / "dark" / "0.png", np.full((20, 20), 1000, np.uint16))
    ramp(folder / "train" / "dark" / "1.png", np.full((20, 20), 4095, np.uint16))
    found = load(folder)
    assert [int(image.max()) for image in (*found.train.images[:2], found.test.images[0])] == [
        62, 255, 62,
    ]  # fmt: skip


def test_linked_folders_are_read_and_hidden_files_are_not(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for number in range(5):
        picture(np.zeros((20, 20), np.uint8), site / f"x{number}.PNG")
    (folder / "train" / "dark" / "site").symlink_to(site)
    (folder / "train" / "dark" / "up").symlink_to(folder)
    (folder / "train" / "dark" / "._0.png").write_bytes(b"\0\5\x16\7")
    (folder / "train" / "__MACOSX").mkdir()
    found = load(folder)
    assert found.classes == ("dark", "light")
    assert found.train.classes.tolist() == [0] * 11 + [1] * 6


def test_a_link_that_leads_nowhere_is_named(folder: Path) -> None:
    (folder / "train" / "dark" / "9.png").symlink_to(folder / "gone.png")
    with pytest.raises(BenchError, match=r"dark/9\.png can't be read as an image \(No such file"):
        load(folder)


def test_bad_images_can_be_skipped_and_are_counted(folder: Path) -> None:
    corrupt(folder)
    text_as_jpeg(folder)
    found = load(folder, skip_bad=True)
    assert found.train.classes.tolist() == [0] * 6 + [1] * 5
    assert len(found.test) == 6
    assert "lungs: 2 bad images were skipped; the first: " in found.notes[0]
    assert "train/light/2.png can't be read as an image" in found.notes[0]
    with pytest.raises(BenchError, match=r"light/2\.png can't be read as an image"):
        load(folder)  # not silently left out later
    assert "skip_bad" not in settings(folder).model_dump()


def test_a_class_without_a_good_image_is_refused(folder: Path) -> None:
    for file in (folder / "val" / "light").iterdir():
        file.write_text("no picture")
    with pytest.raises(BenchError, match=r"val/light has no image left, 3 of the part are bad"):
        load(folder, skip_bad=True)


def test_a_cmyk_jpeg_is_as_bright_as_its_picture(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.new("RGB", (40, 40), (200, 200, 200)).convert("CMYK").save(path)
    assert abs(int(decoded.image(path, SIDE, False).mean()) - 200) <= 3


def test_what_is_no_image_by_its_name_is_left_out_and_told(folder: Path) -> None:
    (folder / "train" / "dark" / "notes.txt").write_text("look again")
    (folder / "train" / "dark" / ".DS_Store").write_text("")
    task = load(folder)
    assert len(task.train) == 12
    assert "lungs: 1 files that are no images by their names were left out, the first" in str(
        task.notes
    )


def test_without_a_folder_to_validate_on_nothing_is_held_out(folder: Path) -> None:
    (folder / "val").rename(folder.parent / "elsewhere")
    job = Xray().job(settings(folder, width=0.1), CPU, 0)
    assert job.validate is None
    assert any("nothing is held out" in note for note in job.data.notes)


def corrupt(folder: Path) -> None:
    file = folder / "train" / "light" / "2.png"
    file.write_bytes(file.read_bytes()[:80])


def cut_jpeg(folder: Path) -> None:
    file = folder / "train" / "light" / "new.jpeg"
    picture(np.zeros((64, 64), dtype=np.uint8), file)
    file.write_bytes(file.read_bytes()[:300])


def text_as_jpeg(folder: Path) -> None:
    (folder / "test" / "dark" / "readme.jpg").write_text("no picture")


def tiny(folder: Path) -> None:
    picture(np.zeros((1, 1), dtype=np.uint8), folder / "val" / "dark" / "dot.png")


def empty_class(folder: Path) -> None:
    for file in (folder / "test" / "light").iterdir():
        file.unlink()


def lost_class(folder: Path) -> None:
    (folder / "val" / "light").rename(folder / "light")


def new_class(folder: Path) -> None:
    (folder / "test" / "other").mkdir()


def one_class(folder: Path) -> None:
    (folder / "train" / "light").rename(folder / "light")


BAD = [
    (
        corrupt,
        "train/light/2.png can't be read as an image (",
        "replace it, remove it, or leave it out with",
    ),
    (
        cut_jpeg,
        "train/light/new.jpeg can't be read as an image (",
        "replace it, remove it, or leave it out with",
    ),
    (
        text_as_jpeg,
        "test/dark/readme.jpg can't be read as an image",
        "replace it, remove it, or leave it out with",
    ),
    (tiny, "val/dark/dot.png has 1x1 pixels", "remove it"),
    (empty_class, "test/light holds no image", "every part needs images of every class"),
    (lost_class, "val/light is missing", "every part needs images of every class"),
    (new_class, "test/other is a class that", "remove it, or add images to train with"),
    (one_class, "train has to hold a folder for each class, two or more", "it holds dark"),
]


@pytest.mark.parametrize(("spoil", "what", "advice"), BAD, ids=lambda v: getattr(v, "__name__", ""))
def test_bad_data_is_one_line_that_names_the_file_and_what_to_do(
    folder: Path, spoil: Callable[[Path], None], what: str, advice: str
) -> None:
    spoil(folder)
    with pytest.raises(BenchError) as caught:
        Xray().prepare(settings(folder))
    said = str(caught.value)
    assert what in said
    assert advice in said
    assert "\n" not in said
    assert str(folder) in said


def test_images_are_decoded_once(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(folder)
    monkeypatch.setattr(decoded, "decode", None)
    again = load(folder)
    assert torch.equal(first.train.images, again.train.images)
    assert first.train.sha256 == again.train.sha256
    assert len(list(cache.iterdir())) == 3


def add(folder: Path) -> None:
    picture(np.zeros((20, 20), dtype=np.uint8), folder / "train" / "dark" / "new.png")


def remove(folder: Path) -> None:
    (folder / "train" / "dark" / "0.png").unlink()


def change(folder: Path) -> None:
    picture(np.full((24, 20), 99, dtype=np.uint8), folder / "train" / "dark" / "0.png")


def touch(folder: Path) -> None:
    os.utime(folder / "train" / "dark" / "0.png", (1, 1))


@pytest.mark.parametrize("alter", [add, remove, change, touch])
def test_a_changed_folder_is_decoded_again_and_the_old_file_goes(
    folder: Path, cache: Path, alter: Callable[[Path], None]
) -> None:
    before = load(folder).train
    alter(folder)
    after = load(folder).train
    assert (after.sha256 == before.sha256) == (alter is touch)
    assert len(list(cache.iterdir())) == 3
    if alter is change:
        assert bool((after.images[0] == 99).all())


@pytest.mark.parametrize("how", ["eager", "lazy"])
@pytest.mark.parametrize("at", [200, -20])
def test_a_damaged_file_in_the_cache_is_made_again(
    folder: Path, cache: Path, how: str, at: int
) -> None:
    before = load(folder, loading=how)
    kept = [part.images.clone() for part in (before.train, before.test)]
    for file in cache.iterdir():
        content = bytearray(file.read_bytes())
        content[at] ^= 0xFF
        file.write_bytes(bytes(content))
    after = load(folder, loading=how)
    for images, new in zip(kept, (after.train, after.test), strict=True):
        assert torch.equal(images, new.images)
        assert new.sha256 == decoded.sha256(images.numpy())


def test_the_digest_is_of_the_images_that_are_read(folder: Path, cache: Path) -> None:
    before = load(folder).train
    for file in cache.iterdir():
        content = file.read_bytes().replace(before.sha256.encode(), b"0" * 64)
        file.write_bytes(content)
    assert load(folder).train.sha256 == before.sha256


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_the_data_s_hash_covers_every_part(folder: Path, part: str) -> None:
    before = data.load(settings(folder), CPU)[1].sha256
    picture(np.full((24, 20), 99, dtype=np.uint8), folder / part / "dark" / "0.png")
    assert data.load(settings(folder), CPU)[1].sha256 != before


def test_a_torn_file_in_the_cache_is_made_again(folder: Path, cache: Path) -> None:
    before = load(folder)
    for file in cache.iterdir():
        file.write_bytes(file.read_bytes()[:200])
    assert torch.equal(load(folder).train.images, before.train.images)


def test_where_the_cache_cant_be_written_it_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BenchError, match=r"can't make the cache folder .*XDG_CACHE_HOME"):
        load(folder)


def test_what_is_read_lazily_is_the_same(folder: Path) -> None:
    whole, lazy = (load(folder, loading=how).train for how in ("eager", "lazy"))
    assert torch.equal(whole.images, lazy.images)


def test_a_missing_task_is_skipped_with_a_notice_and_the_others_run(folder: Path) -> None:
    made, notices = Xray().prepare(settings(folder, dataset="heart,lungs", data_dir=folder.parent))
    assert made.dataset == "lungs"
    assert len(notices) == 1
    assert "task heart is skipped: no folder" in notices[0]


def test_without_any_task_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no task 'heart' or 'bones'"):
        Xray().prepare(XraySettings(dataset="heart,bones", data_dir=tmp_path))


def test_unnamed_tasks_are_all_that_are_there_or_synthetic(folder: Path, tmp_path: Path) -> None:
    make_task(tmp_path / "bones", ("whole", "broken"))
    assert sources.resolve(None, tmp_path) == (["bones", "lungs"], ())
    assert sources.resolve(None, folder) == ([str(folder)], ())
    names, notices = sources.resolve(None, None)
    assert names == ["synthetic"]
    assert "which say nothing about real ones" in notices[0]


def test_only_the_pneumonia_set_has_a_target(folder: Path) -> None:
    values = [Xray().target_for(settings(folder, dataset=name)).value
              for name in ("synthetic", "lungs", "a/pneumonia")]  # fmt: skip
    assert values == [None, None, 0.98]


def test_a_preset_fills_what_is_left_out() -> None:
    made = XraySettings(preset="after", batch_size=8)
    assert (made.architecture, made.width, made.image_size) == ("mobilenetv2", 0.75, 128)
    assert (made.batch_size, made.steps_per_epoch, made.trainable_layers) == (8, 50, 0)
    assert XraySettings.model_validate(made.model_dump()) == made
    assert XraySettings().architecture == "small"


def test_naming_the_baseline_imports_neither_torch_nor_pillow() -> None:
    code = "import sys, baselines.xray; print('torch' in sys.modules, 'PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_preparing_imports_no_torch() -> None:
    code = (
        "import sys; from baselines.xray import Xray, XraySettings, decoded;"
        "Xray().prepare(XraySettings()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
