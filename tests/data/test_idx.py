"""The IDX reader takes what the format allows and nothing else."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import struct

import numpy as np
import pytest

from cnn_core.data import DataError, read_idx
from memory_peak import memory_peak

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx_bytes(code: int, sizes: tuple[int, ...], payload: bytes) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + payload


def saved(tmp_path, contents: bytes, name: str = "file") -> str:
    path = tmp_path / name
    path.write_bytes(contents)
    return str(path)


SMALL = idx_bytes(0x0B, (2, 3), struct.pack(">6h", 1, -2, 3, -4, 500, -600))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("code", TYPES)
def test_every_type_is_read_in_the_machines_byte_order(tmp_path, code, pack):
    values = np.array([[[0, 1], [2, 100]], [[7, 8], [9, 127]], [[3, 4], [5, 6]]])
    stored = values.astype(TYPES[code])
    array = read_idx(saved(tmp_path, pack(idx_bytes(code, values.shape, stored.tobytes()))))
    np.testing.assert_array_equal(array, values)
    assert array.dtype == np.dtype(TYPES[code]).newbyteorder("=")
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned


def test_negative_and_fractional_values_survive(tmp_path):
    np.testing.assert_array_equal(read_idx(saved(tmp_path, SMALL)), [[1, -2, 3], [-4, 500, -600]])
    payload = struct.pack(">3d", -0.1, 1e300, float("inf"))
    array = read_idx(saved(tmp_path, idx_bytes(0x0E, (3,), payload)))
    assert array.tolist() == [-0.1, 1e300, float("inf")]


def test_gzip_is_recognized_by_contents_and_not_by_name(tmp_path):
    packed = read_idx(saved(tmp_path, gzip.compress(SMALL), "packed.idx"))
    plain = read_idx(saved(tmp_path, SMALL, "plain.gz"))
    np.testing.assert_array_equal(packed, plain)


def test_a_gzip_file_of_several_members_is_one_file(tmp_path):
    array = read_idx(saved(tmp_path, gzip.compress(SMALL[:9]) + gzip.compress(SMALL[9:])))
    np.testing.assert_array_equal(array, [[1, -2, 3], [-4, 500, -600]])


def test_an_array_may_be_empty(tmp_path):
    assert read_idx(saved(tmp_path, idx_bytes(0x08, (0, 28, 28), b""))).shape == (0, 28, 28)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "expected a magic number of 4 bytes, found a file that ends after 0"),
        (b"\0\0\x08", "ends after 3"),
        (b"\x01\x00\x08\x01", "begins with the bytes 00 00, found 01 00"),
        (b"PNG!", "begins with the bytes 00 00, found 50 4e"),
        (idx_bytes(0x0A, (1,), b"\0"), "one of the type codes 08, 09, .*, found 0a"),
        (b"\0\0\x08\0", "from 1 to 32 dimensions, found 0"),
        (b"\0\0\x08\xff" + bytes(1020), "from 1 to 32 dimensions, found 255"),
        (b"\0\0\x08\x03" + bytes(7), "expected 12 bytes of sizes, .* ends after 7"),
        (SMALL[:-1], "expected 12 bytes of values after the header, found 11"),
        (SMALL[:16], "expected 12 bytes .* found 4"),
        (SMALL[:12], "expected 12 bytes .* found 0"),
        (idx_bytes(0x08, (2**32 - 1,) * 3, b""), "sizes whose product fits in memory"),
        (idx_bytes(0x08, (0,) + (2**32 - 1,) * 3, b""), "sizes whose product fits in memory"),
        (idx_bytes(0x0E, (2**32 - 1, 2**28), b"abc"), "expected"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, contents, message, pack):
    path = saved(tmp_path, pack(contents))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert path in str(caught.value)


def test_trailing_bytes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected 12 bytes .* found 13"):
        read_idx(saved(tmp_path, SMALL + b"\0"))
    with pytest.raises(DataError, match=r"expected 12 bytes .* found more than 12"):
        read_idx(saved(tmp_path, gzip.compress(SMALL + b"\0")))


def test_garbage_after_a_gzip_stream_is_refused(tmp_path):
    with pytest.raises(DataError, match="a whole gzip stream"):
        read_idx(saved(tmp_path, gzip.compress(SMALL) + b"garbage"))


@pytest.mark.parametrize("cut", [3, 12, 20, -8, -4, -1])
def test_a_truncated_gzip_stream_is_refused(tmp_path, cut):
    with pytest.raises(DataError):
        read_idx(saved(tmp_path, gzip.compress(SMALL)[:cut]))


def test_a_wrong_checksum_of_gzip_is_refused(tmp_path):
    packed = bytearray(gzip.compress(SMALL))
    packed[-8] ^= 1
    with pytest.raises(DataError, match="damaged one"):
        read_idx(saved(tmp_path, bytes(packed)))


def test_a_huge_declared_size_takes_no_memory(tmp_path):
    plain = saved(tmp_path, idx_bytes(0x08, (2**31,), bytes(100)))
    packed = saved(tmp_path, gzip.compress(idx_bytes(0x08, (2**31,), bytes(100))), "packed")
    with memory_peak() as peak:
        with pytest.raises(DataError, match=r"expected 2147483648 bytes .* found 100"):
            read_idx(plain)
        with pytest.raises(DataError, match="2147483648 bytes declared in a packed file"):
            read_idx(packed)
    assert peak.bytes < 2**22


def test_an_over_long_gzip_stream_is_not_unpacked_to_its_end(tmp_path, monkeypatch):
    zeros = io.BytesIO()
    with gzip.open(zeros, "wb") as stream:
        stream.write(SMALL)
        for _ in range(64):
            stream.write(bytes(2**20))
    path = saved(tmp_path, zeros.getvalue())
    with memory_peak() as peak, pytest.raises(DataError, match="found more than 12"):
        read_idx(path)
    assert peak.bytes < 2**22


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing: no such file"):
        read_idx(tmp_path / "nothing")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a regular file, found a folder"):
        read_idx(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="regular file"):
        read_idx(tmp_path / "pipe")


def test_the_error_is_a_value_error_that_has_its_parts_and_survives_pickling(tmp_path):
    path = saved(tmp_path, SMALL[:-1])
    with pytest.raises(ValueError, match="truncated") as caught:
        read_idx(path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, DataError)
    assert (again.path, again.found) == (path, "11")
    assert str(again) == str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_damaged_file_is_refused_or_makes_an_array_of_what_it_says(tmp_path, pack):
    """A plain IDX file has no checksum: other values or another shape may be read, no more."""
    chance = random.Random(7)
    whole = pack(SMALL)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(600):
        damaged = bytearray(whole)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path = saved(tmp_path, bytes(damaged))
        try:
            array = read_idx(path)
        except DataError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert array.nbytes == 12
            if pack is gzip.compress:
                np.testing.assert_array_equal(array, [[1, -2, 3], [-4, 500, -600]])
    assert outcomes["refused"] > 100
    assert outcomes["read"] > 10
