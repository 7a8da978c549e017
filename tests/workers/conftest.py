"""Fixtures of the workers' tests."""

from __future__ import annotations

import pytest

from common.ingest.accept import Ingestor
from common.store import Store
from workers import context


@pytest.fixture
def ingestor(store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch) -> Ingestor:
    """The same, in a process whose workers have its store and baselines."""
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    return ingestor
