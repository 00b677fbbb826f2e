"""Folders of images become arrays and classes; what cannot is refused by its name."""

from __future__ import annotations

import io
import os
import zlib

import numpy as np
import pytest
from PIL import Image

from cnn_core.cli.console import CommandError
from cnn_core.cli.image_files import Size, read_images
from cnn_core.cli.image_folders import ImageFolder, holds_images, images_below
from cnn_core.data import DataError

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.dstack([GREY, GREY[::-1], 255 - GREY])


def save(path, pixels=GREY, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def animals(tmp_path):
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        save(tmp_path / "animals" / name)
    return tmp_path / "animals"


def read(folder, size=None, shape=None):
    return ImageFolder.at(folder).read(size, shape, lambda line: None)


class TestFolders:
    def test_a_folder_for_each_class(self, animals):
        table = read(animals)
        assert table.class_names == ("cats", "dogs")
        assert table.y.tolist() == [0, 0, 1]
        assert (table.X == GREY).all()
        assert table.X_test is None

    @pytest.mark.parametrize("names", [("train", "test"), ("Training", "val")])
    def test_parts(self, animals, tmp_path, names):
        train, test = names
        animals.rename(tmp_path / train)
        save(tmp_path / test / "dogs" / "9.png", GREY[::-1].copy())
        table = read(tmp_path)
        assert table.y.tolist() == [0, 0, 1]
        assert table.y_test.tolist() == [1]
        assert (table.X_test == GREY[::-1]).all()

    def test_a_training_part_alone(self, animals, tmp_path):
        animals.rename(tmp_path / "train")
        assert read(tmp_path).X_test is None

    def test_a_class_may_have_the_name_of_a_part(self, animals):
        save(animals / "train" / "1.png")
        assert read(animals).class_names == ("cats", "dogs", "train")

    def test_what_is_hidden_or_no_image_is_left_out_and_told(self, animals):
        for name in (".DS_Store", "cats/._1.png", "cats/notes.txt", ".git/x.png", "Thumbs.db"):
            (animals / name).parent.mkdir(exist_ok=True)
            (animals / name).write_bytes(b"")
        told = []
        assert len(ImageFolder.at(animals).read(None, None, told.append).X) == 3
        assert told == [
            f"5 of what is in {animals} are left out: hidden, no image or no part of it, such as "
            f"{animals / '.DS_Store'}"
        ]

    def test_links_lead_to_images(self, animals, tmp_path):
        (animals / "foxes").symlink_to(animals / "cats")
        (animals / "dogs" / "2.png").symlink_to(save(tmp_path / "elsewhere.png"))
        assert read(animals).y.tolist() == [0, 0, 1, 1, 2, 2]

    @pytest.mark.parametrize("target", ["nowhere", "3.png"])
    def test_a_link_that_leads_nowhere_is_named(self, animals, target):
        (animals / "cats" / "3.png").symlink_to(target)
        with pytest.raises(DataError, match=r"cats/3\.png: .* a link that leads nowhere; mend"):
            read(animals)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda f: save(f / "1.png"), r"1\.png: .* an image beside them; move each image into"),
            (lambda f: save(f / "cats" / "old" / "1.png"), r"cats/old: .* a folder; move its"),
            (lambda f: (f / "foxes").mkdir(), r"foxes: expected images of the class foxes, .* add"),
            (lambda f: (f / "dogs" / "1.png").rename(f / "dogs" / "1.webp"), "a .webp file; conv"),
            (
                lambda f: (f / "dogs").rename(f.parent / "dogs"),
                "two classes, found one, cats; make",
            ),
            (lambda f: f.rename(f.parent / "x") and f.mkdir(), "two classes, found none"),
            (lambda f: save(f / "train" / "a" / "1.png"), "beside train, .* take it out, or move"),
            (lambda f: save(f / "dogs" / "2.png", GREY.T.copy()), "6x4 pixels, .* --size 6x4 res"),
            (lambda f: (f / "dogs" / "1.png").write_bytes(b""), r"dogs/1\.png: .* an empty file"),
            (
                lambda f: (f / "dogs" / "1.png").write_bytes(b"no"),
                r"a damaged or other file .* save",
            ),
        ],
    )
    def test_what_is_wrong_is_named_with_what_to_do(self, animals, change, message):
        change(animals)
        with pytest.raises(DataError, match=message):
            read(animals)

    def test_a_name_of_a_class_is_a_text(self, animals):
        (animals / "dogs").rename(os.path.join(animals, os.fsdecode(b"caf\xe9")))
        with pytest.raises(DataError, match=r"a name of a class in UTF-8, found 'caf.udce9'; ren"):
            read(animals)

    def test_images_without_folders(self, tmp_path):
        save(tmp_path / "1.png")
        with pytest.raises(DataError, match="an image and no folder; move each image into a"):
            read(tmp_path)

    def test_parts_without_classes(self, tmp_path):
        for part in ("train", "test"):
            save(tmp_path / part / "1.png")
        with pytest.raises(
            DataError, match=r"train/1\.png: expected in .* a folder for each class"
        ):
            read(tmp_path)

    def test_the_digest_is_of_names_and_contents(self, animals):
        before = ImageFolder.at(animals).sha256()
        (animals / ".hidden").write_bytes(b"")
        assert ImageFolder.at(animals).sha256() == before
        (animals / "cats" / "1.png").rename(animals / "cats" / "0.png")
        renamed = ImageFolder.at(animals).sha256()
        save(animals / "cats" / "0.png", GREY[::-1].copy())
        assert len({before, renamed, ImageFolder.at(animals).sha256()}) == 3

    def test_a_folder_of_images_is_known_by_what_it_holds(self, animals, tmp_path):
        assert holds_images(animals)
        assert not holds_images(tmp_path / "nowhere")
        for name in ("empty", "also", "there"):
            (tmp_path / "root" / name).mkdir(parents=True)
        assert not holds_images(tmp_path / "root")
        # An image somewhere below does not make it one.
        save(tmp_path / "root" / "also" / "1.png")
        assert not holds_images(tmp_path / "root")
        save(tmp_path / "root" / "train" / "cats" / "1.png")
        assert holds_images(tmp_path / "root")
        assert images_below([animals / "dogs", animals]) == [
            animals / name for name in ("dogs/1.png", "cats/1.png", "cats/2.png", "dogs/1.png")
        ]


class TestFiles:
    def test_a_grey_image_among_colours_is_one_of_them(self, tmp_path):
        files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", COLOUR)]
        files.append(save(tmp_path / "c.jpg", COLOUR, quality=95))
        images = read_images(files)
        assert images.shape == (3, 4, 6, 3)
        np.testing.assert_array_equal(images[0], np.dstack([GREY] * 3))
        np.testing.assert_array_equal(images[1], COLOUR)
        assert np.abs(images[2].astype(int) - COLOUR).mean() < 60

    def test_a_known_shape_settles_the_channels(self, tmp_path):
        files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", COLOUR)]
        assert read_images(files, shape=(4, 6)).shape == (2, 4, 6)
        assert read_images(files[:1], shape=(4, 6, 3)).shape == (1, 4, 6, 3)
        with pytest.raises(
            DataError, match="of 5x4 pixels, which the run was trained on, found 6x4"
        ):
            read_images(files, shape=(4, 5))

    def test_a_size_is_width_by_height(self, tmp_path):
        files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", GREY.T.copy())]
        assert read_images(files, Size.of("3x2")).shape == (2, 2, 3)
        flat = save(tmp_path / "c.png", np.full((50, 40), 7, np.uint8))
        assert (read_images([flat], Size(8, 8)) == 7).all()

    @pytest.mark.parametrize("text", ["32", "0x8", "8x", "8 by 8", "999999x1"])
    def test_other_sizes_are_refused(self, text):
        with pytest.raises(CommandError, match="--size: expected the width and the height"):
            Size.of(text)

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [("1", (4, 6)), ("LA", (4, 6)), ("P", (4, 6, 3)), ("RGBA", (4, 6, 3)), ("CMYK", (4, 6, 3))],
    )
    def test_every_mode_becomes_grey_or_colour(self, tmp_path, mode, expected):
        path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
        Image.fromarray(COLOUR).convert(mode).save(path)
        assert read_images([path])[0].shape == expected

    def test_of_16_bits_the_upper_8_are_taken(self, tmp_path):
        path = save(tmp_path / "a.png", GREY.astype(np.uint16) * 256 + 255)
        np.testing.assert_array_equal(read_images([path])[0], GREY)

    def test_what_is_transparent_is_black(self, tmp_path):
        pixels = np.dstack([COLOUR, np.where(GREY > 100, 255, 0).astype(np.uint8)])
        image = read_images([save(tmp_path / "a.png", pixels)])[0]
        np.testing.assert_array_equal(image, np.where((GREY > 100)[..., None], COLOUR, 0))

    def test_a_photograph_is_turned_as_its_camera_says(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(read_images([path])[0], np.rot90(GREY, -1))

    def test_a_file_cut_short_is_refused(self, tmp_path, rng):
        for name in ("a.png", "a.jpg"):
            path = save(tmp_path / name, rng.integers(0, 256, (40, 40)).astype(np.uint8))
            path.write_bytes(path.read_bytes()[:-200])
            with pytest.raises(
                DataError, match=f"{name}: expected a PNG or JPEG image, found a dam"
            ):
                read_images([path])

    def test_a_file_of_another_kind_is_refused_whatever_its_name(self, tmp_path):
        stream = io.BytesIO()
        Image.fromarray(GREY).save(stream, "GIF")
        (tmp_path / "a.png").write_bytes(stream.getvalue())
        with pytest.raises(DataError, match="a damaged or other file"):
            read_images([tmp_path / "a.png"])

    @pytest.mark.parametrize("side", [10_000, 50_000])
    def test_a_decompression_bomb_is_refused_before_it_is_unpacked(self, tmp_path, side):
        def chunk(kind, contents):
            body = kind + contents
            return len(contents).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

        size = side.to_bytes(4, "big")
        header = chunk(b"IHDR", size + size + bytes([8, 0, 0, 0, 0]))
        data = chunk(b"IDAT", zlib.compress(bytes(1000)))
        path = tmp_path / "bomb.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
        with pytest.raises(
            DataError, match=r"bomb\.png: expected an image of at most .* smaller by"
        ):
            read_images([path])

    def test_images_that_do_not_fit_are_refused_before_they_are_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cnn_core.cli.image_files._memory", lambda: 80)
        files = [save(tmp_path / f"{number}.png") for number in range(2)]
        with pytest.raises(DataError, match=r"2 of 6x4, .* such as by --size 64x64"):
            read_images(files)
