"""Recipes and plans: limits, and that TOML gives back what was written."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from rfapp.errors import SettingsError, UsageError
from rfapp.models import ARCHITECTURES
from rfapp.training.augmentation import Augmentation
from rfapp.training.plan import Plan
from rfapp.training.recipes import RECIPES, Recipe, recipe_for

EVERY = [recipe for recipes in RECIPES.values() for recipe in recipes.values()]
EVERY.append(replace(EVERY[0], name="parts", keep=2.0, only=("LandmarkHead", "ssh1"), fixed_norm=True))


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: f"{recipe.name}-{recipe.batch}")
def test_a_recipe_comes_back_from_toml(recipe):
    assert Recipe.from_mapping(tomllib.loads(tomli_w.dumps(recipe.to_mapping()))) == recipe


def test_recipes_are_for_networks_there_are():
    assert set(RECIPES) <= set(ARCHITECTURES)
    assert all(name == recipe.name for recipes in RECIPES.values() for name, recipe in recipes.items())


def test_the_published_numbers():
    recipe = recipe_for("published", "mobilenet0.25")
    assert (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.momentum) == (250, 32, 1e-3, 0.9)
    assert (recipe.overlap, recipe.negatives, recipe.least_negatives) == (0.35, 7, 0)
    assert recipe.augmentation == Augmentation(size=640)
    assert recipe_for("published", "resnet50").batch == 24


def test_an_unknown_recipe_is_a_sentence():
    with pytest.raises(SettingsError, match="no recipe “slow” for resnet50"):
        recipe_for("slow", "resnet50")


@pytest.mark.parametrize(
    "change",
    [{"batch": 0}, {"learning_rate": -1.0}, {"ema": 1.0}, {"steps": 0}, {"empty": 0.95}, {"overlap": 0.0}],
    ids=str,
)
def test_limits(change):
    with pytest.raises(SettingsError):
        replace(recipe_for("quick", "mobilenet0.25"), **change)


@pytest.mark.parametrize("shown", [{"scales": ()}, {"scales": (0.3, 0.0)}, {"scale_range": (0.3, 20.0)}], ids=str)
def test_squares_are_of_some_size(shown):
    with pytest.raises(SettingsError, match=r"between 0\.05 and 10\.0 short sides"):
        replace(recipe_for("quick", "mobilenet0.25"), augmentation=Augmentation(**shown))


@pytest.mark.parametrize("size", [100, 32, 8192])
def test_pictures_must_fit_the_coarsest_level(size):
    with pytest.raises(SettingsError, match=f"multiple of 32 from 64 to 4096, not {size}"):
        replace(recipe_for("quick", "mobilenet0.25"), augmentation=Augmentation(size=size))


@pytest.mark.parametrize(
    "change",
    [{"batch": "many"}, {"batch": True}, {"schedule": "none"}, {"unknown": 1}, {"learning_rate": "x"}],
    ids=str,
)
def test_a_file_that_makes_no_sense(change):
    values = {**recipe_for("quick", "mobilenet0.25").to_mapping(), **change}
    with pytest.raises(ValueError, match=next(iter(change))):
        Recipe.from_mapping(values)


def plan(**changes):
    return Plan(**{"data": (Path("a"),), "recipe": recipe_for("quick", "mobilenet0.25"), "seed": 3, **changes})


def test_a_plan_comes_back_from_toml():
    written = plan(negatives=(Path("b"),), init="mobilenet0.25", precision="float32")
    values = tomllib.loads(tomli_w.dumps(written.to_mapping()))
    again = Plan.from_mapping(values)
    assert again.to_mapping() == written.to_mapping()
    assert again.data == (Path("a").absolute(),)
    assert again.init == "mobilenet0.25"
    assert written.differs_from(values) == ""


def test_what_differs_is_named():
    values = plan().to_mapping()
    assert plan(seed=4).differs_from(values) == "seed"
    assert plan(data=(Path("c"),)).differs_from(values) == "data"
    assert plan(recipe=replace(plan().recipe, weight_decay=0.1)).differs_from(values) == "weight decay"
    other = replace(plan().recipe, augmentation=Augmentation(size=320))
    assert plan(recipe=other).differs_from(values) == "augmentation"


def test_workers_and_device_may_change():
    assert plan(workers=5, device="cpu").differs_from(plan().to_mapping()) == ""


def test_an_unknown_network():
    with pytest.raises(UsageError, match="“yolo” can't be trained"):
        plan(model="yolo")
