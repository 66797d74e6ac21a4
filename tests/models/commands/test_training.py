"""`stationcast models train` and `export` where nothing is there that trains."""

import sys
from pathlib import Path

import pytest

from models.cards import ModelError
from tests.models.helpers import invoke


@pytest.mark.parametrize("words", ["train --data photos --out run", "export run --out served"])
def test_whoever_lacks_pytorch_is_told_how_to_get_it(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ModelError, match=r"^PyTorch is not installed, as only training needs it; run `\.ci/setup train`$"
    ):
        invoke(*words.split())
