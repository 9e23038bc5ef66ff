from __future__ import annotations

import pytest

from treadle.serving import wal


def written(folder, *batches):
    segment = wal.Segment(folder, 1)
    for batch in batches:
        segment.append(batch)
    segment.close()
    return segment.path


def test_what_is_appended_is_read_in_order(tmp_path):
    path = written(tmp_path, [b"one", b"two"], [b"three" * 1000])

    read = list(wal.entries(path))

    assert read == [b"one", b"two", b"three" * 1000]


def test_a_segment_cut_off_anywhere_holds_a_prefix(tmp_path):
    path = written(tmp_path, [b"one", b"two", b"three"])
    whole = path.read_bytes()

    counts = []
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        counts.append(len(list(wal.entries(path))))

    assert counts == sorted(counts)
    assert counts[-1] == 3


@pytest.mark.parametrize("place", range(8 + 8, 8 + 8 + 3))
def test_a_flipped_bit_ends_the_segment(tmp_path, place):
    path = written(tmp_path, [b"one", b"two"])
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)

    assert list(wal.entries(path)) == []


def test_zeroes_behind_the_entries_are_passed_over(tmp_path):
    path = written(tmp_path, [b"one"])
    path.write_bytes(path.read_bytes() + bytes(4096))

    assert list(wal.entries(path)) == [b"one"]


def test_sealing_gives_the_segment_its_final_name(tmp_path):
    segment = wal.Segment(tmp_path, 7)
    segment.append([b"one"])

    path = segment.seal()

    assert (path.name, wal.segments(tmp_path)) == ("0000000007.sealed", [path])
    assert wal.number_of(path) == 7


def test_a_number_is_never_used_twice(tmp_path):
    written(tmp_path, [b"one"])

    with pytest.raises(FileExistsError):
        wal.Segment(tmp_path, 1)


def test_no_folder_and_no_file_are_empty(tmp_path):
    assert wal.segments(tmp_path / "none") == []
    assert list(wal.entries(tmp_path / "none.open")) == []
