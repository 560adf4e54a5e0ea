"""Text that can be read, in both colour schemes."""

import pytest

from rfapp.gui.overlay import BOX_COLOUR, LABEL_TEXT
from rfapp.gui.theme import DARK, LIGHT
from rfapp.places import resources


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """As WCAG 2.2 defines it."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("text", "window"),
        ("text", "panel"),
        ("text", "raised"),
        ("text", "hover"),
        ("text", "stage_empty"),
        ("muted", "panel"),
        ("muted", "stage_empty"),
        ("on_accent", "accent"),
    ],
)
def test_text_stands_out_from_its_ground(colours, text, ground):
    assert contrast(getattr(colours, text), getattr(colours, ground)) >= 4.5


def test_the_score_stands_out_from_its_label():
    assert contrast(BOX_COLOUR, LABEL_TEXT) >= 4.5


def test_every_scheme_can_be_chosen_and_gives_icons(theme):
    seen = []
    theme.changed.connect(lambda: seen.append(theme.colours))
    theme.want("dark")
    theme.want("light")
    assert seen[-2:] == [DARK, LIGHT]
    for path in (resources() / "icons").glob("*.svg"):
        assert not theme.icon(path.stem).pixmap(24, 24).toImage().isNull()
