"""What commands take for footage: paths as ever, and objects."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from common.settings import get_settings
from common.sources.objects.path import ObjectPath
from sentinel.cli.footage import footage_path


def test_an_object_is_told_from_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_OBJECT_ENDPOINT", "http://minio:9000")
    found = footage_path("s3://lab/a b.mp4")
    assert isinstance(found, ObjectPath) and str(found) == "s3://lab/a b.mp4"
    assert found.storage == get_settings().object_storage
    assert found.storage.endpoint == "http://minio:9000"
    assert footage_path("s3/lab/a.mp4") == Path("s3/lab/a.mp4")


@pytest.mark.parametrize("text", ["s3://", "s3://lab/../a.mp4", "s3://key:secret@lab/a.mp4"])
def test_what_is_no_object_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="names no object") as caught:
        footage_path(text)
    assert "secret" not in str(caught.value)
