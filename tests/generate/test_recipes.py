"""Recipes: strict files whose every number has a source, and pairs that differ in DiRe and in nothing else."""

import re
import subprocess
import sys
from importlib import resources

import msgspec
import pytest

from divbench.errors import RecipeError
from divbench.generate.methods import METHODS
from divbench.generate.recipe import change, decode, digest, leaves, load_recipe, recipe_names
from divbench.generate.terms import resolve_terms

DATASETS = ("cifar10", "cifar100", "digits", "imagenet", "imagenette", "tiny-imagenet")
NAMES = ("cda", "cda+dire", "dm", "dm+dire", "sre2l", "sre2l+dire", "sre2l+dire-released")
DIRE = ("cosine_diversity", "cosine_distribution_matching", "euclidean_distribution_matching")
ALL = [f"{dataset}/{name}" for dataset in DATASETS for name in NAMES]


@pytest.fixture
def text():
    return (resources.files("divbench") / "generate/recipes/cifar100/sre2l+dire.toml").read_text()


@pytest.fixture
def recipe(text):
    return decode(text.encode(), "recipe")


def is_number(value):
    """Also of a list that holds one."""
    values = value if isinstance(value, list | tuple) else [value]
    return any(type(one) in (int, float) for one in values)


def test_every_data_set_has_every_recipe():
    assert recipe_names() == ALL


@pytest.mark.parametrize("full", ALL)
def test_shipped_recipes_are_what_their_files_are_called(full):
    recipe = load_recipe(full)
    assert f"{recipe.dataset}/{recipe.name}" == full
    assert load_recipe(recipe.name, recipe.dataset) == recipe
    assert recipe.parity == ("released" if recipe.name.endswith("-released") else "divbench")


@pytest.mark.parametrize("full", ALL)
def test_shipped_terms_and_settings_exist(full):
    recipe = load_recipe(full)
    weighted = resolve_terms(recipe.terms)
    dire = [w.term.name for w in weighted if w.term.name in DIRE or w.term.name.startswith("released_")]
    assert len(dire) == (3 if "+dire" in full else 0)
    METHODS[recipe.method["name"]].resolve(recipe)


@pytest.mark.parametrize("full", ALL)
def test_every_number_has_a_source(full):
    recipe = load_recipe(full)
    plain = msgspec.to_builtins(recipe)
    sources = plain.pop("sources")
    numbers = {key for key, value in leaves(plain).items() if is_number(value)}
    assert {"ipc", "iterations", "batch.classes", "optimizer.lr", "augment.roll"} < numbers
    assert not [key for key in numbers if not any(f"{key}.".startswith(f"{said}.") for said in sources)]
    assert all(sources.values())
    for said in sources:
        assert any(key == said or key.startswith(f"{said}.") for key in numbers), f"a source of nothing: {said}"


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("host", ["sre2l", "cda", "dm"])
def test_dire_is_three_weights_and_nothing_else(dataset, host):
    without, with_dire = (msgspec.to_builtins(load_recipe(name, dataset)) for name in (host, f"{host}+dire"))
    for term in DIRE:
        assert without["terms"][term].pop("weight") == 0
        assert with_dire["terms"][term].pop("weight") > 0
    for words in ("name", "description", "sources"):
        assert without.pop(words) != with_dire.pop(words)
    assert without == with_dire


@pytest.mark.parametrize("full", [full for full in ALL if "+dire" in full])
def test_diversity_has_pairs_to_look_at(full):
    recipe = load_recipe(full)
    assert any("pairs" in weighted.term.needs for weighted in resolve_terms(recipe.terms))
    assert recipe.batch.per_class >= 2
    assert recipe.ipc % recipe.batch.per_class != 1


@pytest.mark.parametrize("name", ["sre2l+dire", "cda+dire"])
@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "digits"])
def test_weights_are_the_released_ones_in_proportion_to_bn_matching_and_classes(dataset, name):
    """Released for CIFAR-100: 0.1, 0.1 and 0.001 for 50 classes in a batch, beside a weight of 1.0 of BN matching."""
    recipe = load_recipe(name, dataset)
    scale = recipe.batch.classes / recipe.terms["bn_matching"]["weight"]
    weights = [recipe.terms[term]["weight"] * scale for term in DIRE]
    assert weights == pytest.approx([5.0, 5.0, 0.05])


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("optimizer.lr=0.5", "optimizer.lr", 0.5),
        ("optimizer.lr=1", "optimizer.lr", 1.0),
        ("augment.roll=[-4, 4]", "augment.roll", (-4, 4)),
        ("start=real", "start", "real"),
        ("terms.cosine_diversity.weight=0", "terms.cosine_diversity.weight", 0),
        ("method.new=0.5", "method.new", 0.5),
    ],
)
def test_set_changes_one_value_and_its_source(recipe, assignment, key, value):
    changed = change(recipe, (assignment,))
    assert recipe == load_recipe("cifar100/sre2l+dire")
    assert changed.sources[key] == "changed with --set"
    old, new = (leaves(msgspec.to_builtins(r)) for r in (recipe, changed))
    assert new[key] == value
    differing = {k for k in old.keys() | new.keys() if old.get(k) != new.get(k) and not k.startswith("sources.")}
    assert differing == {key}


def test_set_adds_a_term(recipe):
    changed = change(recipe, ("terms.dpp_diversity={weight = 0.2, ridge = 0.1}",))
    found = {weighted.term.name: weighted for weighted in resolve_terms(changed.terms)}
    assert found["dpp_diversity"].weight == 0.2
    assert found["dpp_diversity"].settings == {"ridge": 0.1}
    assert changed.sources["terms.dpp_diversity"] == "changed with --set"


def test_several_sets_are_applied_in_order(recipe):
    changed = change(recipe, ("iterations=5", "batch.classes=2", "iterations=7"))
    assert (changed.iterations, changed.batch.classes) == (7, 2)
    assert change(recipe, ()) == recipe


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizr.lr=1", "--set optimizr.lr=1: the recipe has no 'optimizr.lr'; did you mean 'optimizer.lr'?"),
        ("optimizer.lr.x=1", "the recipe has no 'optimizer.lr.x'; did you mean 'optimizer.lr'?"),
        ("zzzz=1", "the recipe has no 'zzzz'; it has augment.crop, "),
        ("optimizer.lr", "--set optimizer.lr: expected key=value, such as optimizer.lr=0.1"),
        ("iterations=many", "--set iterations=many: Expected `int`, got `str` - at `$.iterations`"),
        ("iterations=[1,", "--set iterations=[1,: Expected `int`, got `str` - at `$.iterations`"),
        ("augment.per=row", "--set augment.per=row: Invalid enum value 'row' - at `$.augment.per`"),
        ("terms.cosine_diversity=1", "--set terms.cosine_diversity=1: Expected `object`, got `int`"),
    ],
)
def test_wrong_sets_are_explained(recipe, assignment, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        change(recipe, (assignment,))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("iterations=-1", "iterations is -1; give 0, for the start as it is, or more"),
        ("optimizer.lr=-1.0", "optimizer.lr is -1.0; it must be positive"),
        ("augment.crop=0", "augment.crop is 0.0; a share of the area is above 0 and at most 1"),
        ("augment.roll=[4, 0]", "augment.roll is [4, 0]; the least shift comes first"),
        ("method={}", "method needs a name"),
        ("terms.cosine_diversity.weight=heavy", "terms.cosine_diversity needs a weight, a finite number"),
        ("terms.cosine_diversity={}", "terms.cosine_diversity needs a weight, a finite number"),
    ],
)
def test_values_that_make_no_sense_are_refused(recipe, assignment, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        change(recipe, (assignment,))


def test_unknown_terms_and_settings_are_refused(recipe):
    with pytest.raises(RecipeError, match="unknown term 'dpp_diversty'; did you mean 'dpp_diversity'"):
        resolve_terms(change(recipe, ("terms.dpp_diversty={weight = 1}",)).terms)
    with pytest.raises(RecipeError, match="term 'cosine_diversity' has no setting 'reductoin'"):
        resolve_terms(change(recipe, ("terms.cosine_diversity.reductoin=sum",)).terms)
    with pytest.raises(RecipeError, match="term 'bn_matching': first is a number, got 'yes'"):
        resolve_terms(change(recipe, ("terms.bn_matching.first=yes",)).terms)


def test_recipe_from_a_file(tmp_path, text, recipe):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert load_recipe(str(path)) == recipe
    assert load_recipe(str(path), "cifar10") == recipe


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("ipc = 10\n", "", "missing required field `ipc`"),
        ("ipc = 10\n", 'ipc = "ten"\n', "Expected `int`, got `str` - at `$.ipc`"),
        ("ipc = 10\n", "ipc = 10\npic = 10\n", "unknown field `pic`"),
        ("per_class = 10\n", "", "missing required field `per_class` - at `$.batch`"),
        ("per_class = 10\n", "per_class = 10\nshuffle = true\n", "unknown field `shuffle` - at `$.batch`"),
        ('name = "adam"\n', 'name = "adamw"\n', "Invalid value 'adamw' - at `$.optimizer.name`"),
        ("ipc = 10\n", "ipc = \n", "Invalid value"),
    ],
)
def test_wrong_files_are_explained(tmp_path, text, line, instead, message):
    assert line in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(line, instead, 1))
    with pytest.raises(RecipeError, match=re.escape(message)) as error:
        load_recipe(str(path))
    assert str(path) in str(error.value)


def test_files_that_are_no_text_are_refused():
    with pytest.raises(RecipeError, match=r"mine\.toml: .*decode"):
        decode(b"\xff\xfe", "mine.toml")


def test_sources_may_not_be_left_out(text):
    with pytest.raises(RecipeError, match=r"mine\.toml: .*missing required field `sources`"):
        decode(text.partition("[sources]")[0].encode(), "mine.toml")


@pytest.mark.parametrize(
    ("name", "dataset", "message"),
    [
        (
            "sre2l",
            None,
            "no data set that recipes know by name; say which numbers to use: cifar10/sre2l, ",
        ),
        ("sre2l", "mnist", "no data set that recipes know by name; say which numbers to use: cifar10/sre2l, "),
        ("srel2", "cifar10", "unknown recipe 'srel2'; did you mean 'sre2l'?"),
        ("cifar10/srel2", None, "unknown recipe 'cifar10/srel2'; did you mean 'cifar10/sre2l'?"),
        ("qqqqqq", None, "unknown recipe 'qqqqqq'; see 'divbench list recipes'"),
        ("nowhere/mine.toml", None, "nowhere/mine.toml: cannot be read (No such file or directory)"),
    ],
)
def test_unknown_recipes_are_explained(name, dataset, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        load_recipe(name, dataset)


def test_digest_changes_with_what_changes_an_image_and_with_nothing_else(recipe):
    first = digest(recipe)
    words = {"name": "x", "dataset": "y", "description": "z", "parity": "paper", "sources": {"ipc": "somewhere else"}}
    for key, value in words.items():
        assert digest(msgspec.structs.replace(recipe, **{key: value})) == first
    sets = [
        "ipc=20", "iterations=999", "precision=float32", "start=real", "format=jpeg75", "batch.per_class=5",
        "optimizer.lr=0.1", "optimizer.betas=[0.9, 0.999]", "augment.roll=[-4, 4]", "augment.per=image",
        "real.reference=mixed", "labels.kind=hard", "method.name=cda", "terms.cosine_diversity.weight=0.2",
        "terms.cosine_diversity.reduction=sum", "terms.bn_matching.first=1.0",
    ]  # fmt: skip
    digests = {first, *(digest(change(recipe, (one,))) for one in sets)}
    assert len(digests) == 1 + len(sets)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in digests)


def test_digest_does_not_depend_on_the_order_of_terms(recipe):
    turned = msgspec.structs.replace(recipe, terms=dict(reversed(recipe.terms.items())))
    assert digest(turned) == digest(recipe)


def test_recipes_of_one_data_set_have_digests_of_their_own():
    for dataset in DATASETS:
        assert len({digest(load_recipe(name, dataset)) for name in NAMES}) == len(NAMES)


def test_recipes_need_no_torch():
    code = (
        "import sys, divbench.generate.recipe as r; r.load_recipe('digits/sre2l+dire'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
