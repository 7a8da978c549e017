"""Which file systems have events."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.folder.file_events import file_system_without_events

_LINE = "{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} source rw\n"


def _mounts(*mounts: tuple[str, str]) -> str:
    return "".join(_LINE.format(number=n, point=point, kind=kind) for n, (point, kind) in enumerate(mounts))


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "fuse", "9p", "vboxsf", "virtiofs"])
def test_a_network_share_has_no_events(kind: str) -> None:
    mounts = _mounts(("/", "ext4"), ("/mnt/share", kind))
    assert file_system_without_events(Path("/mnt/share/incoming"), mounts) == kind
    assert file_system_without_events(Path("/mnt/shared"), mounts) is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs"])
def test_a_local_file_system_has_events(kind: str) -> None:
    assert file_system_without_events(Path("/data/incoming"), _mounts(("/", kind))) is None


def test_the_deepest_mount_counts_and_the_last_of_equals() -> None:
    mounts = _mounts(("/", "nfs4"), ("/data", "nfs"), ("/data", "ext4"))
    assert file_system_without_events(Path("/data/incoming"), mounts) is None


def test_a_share_mounted_as_one_stream_of_a_local_folder_counts() -> None:
    mounts = _mounts(("/", "ext4"), ("/data/incoming/cam7", "nfs4"))
    assert file_system_without_events(Path("/data/incoming"), mounts) == "nfs4"


def test_spaces_in_a_mount_point_are_understood() -> None:
    mounts = _mounts(("/", "ext4"), (r"/mnt/my\040share", "cifs"))
    assert file_system_without_events(Path("/mnt/my share/in"), mounts) == "cifs"


def test_a_malformed_line_is_passed_over() -> None:
    assert file_system_without_events(Path("/data"), "nonsense\n\n" + _mounts(("/", "ext4"))) is None
