"""Entries: where a result stands, what is refused, and what `add` leaves out of a file."""

import json
import re
import shutil

import pytest
from msgspec.structs import replace

from divbench.errors import OutputError, ResultError
from divbench.leaderboard.add import add
from divbench.leaderboard.entries import entry_of, load_entries
from divbench.leaderboard.methods import load_methods
from divbench.results import SetRecord, load_result, save_result
from tests.leaderboard.boards import OTHER, OURS, make_board, put, recipe, scored
from tests.records import PROTOCOL


@pytest.fixture
def folder(tmp_path):
    return make_board(tmp_path / "board")


@pytest.fixture
def methods(folder):
    return load_methods(folder / "methods.toml")


def saved(path, result):
    save_result(result, path)
    return path


def below(folder):
    """All files of entries, as bytes."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in (folder / "results").rglob("*") if one.is_file()}


# --- places


def test_a_place_says_what_the_result_is_of(methods):
    result = scored("whatever", 50, protocol=OTHER)
    entry = entry_of(result, "tiny-imagenet", "a+x", methods)
    assert entry.place == f"tiny-imagenet/ipc50/a+x/other-one-{result.protocol_digest[:8]}"
    assert entry.result == replace(result, name="Aa + Xx")


@pytest.mark.parametrize(
    ("name", "slug"), [("../../etc/x", "etc-x"), ("a b/c", "a-b-c"), ("x_1.5+y", "x-1.5+y"), ("日本", "protocol")]
)
def test_a_protocol_of_any_name_makes_a_name_of_a_file(methods, name, slug):
    result = scored(protocol=replace(PROTOCOL, name=name))
    assert entry_of(result, "cifar10", "a", methods).protocol == f"{slug}-{result.protocol_digest[:8]}"


def test_entries_are_read_by_place_in_the_order_of_methods(folder, methods):
    for method, ipc in (("b", 10), ("a+x", 10), ("random", 50), ("a", 10), ("random", 10)):
        put(folder, method, scored(ipc=ipc))
    put(folder, "b", scored(dataset="svhn"))
    found, problems = load_entries(folder / "results", methods)
    assert problems == []
    assert [(one.dataset, one.ipc, one.method) for one in found] == [
        ("cifar10", 10, "random"), ("cifar10", 10, "a"), ("cifar10", 10, "a+x"), ("cifar10", 10, "b"),
        ("cifar10", 50, "random"), ("svhn", 10, "b"),
    ]  # fmt: skip
    assert load_entries(folder / "nowhere", methods) == ([], [])


def test_our_entries_are_of_cifar10_at_10_and_hold_no_folder():
    found, problems = load_entries(OURS / "results", load_methods(OURS / "methods.toml"))
    assert problems == []
    assert {(one.dataset, one.ipc) for one in found} >= {("cifar10", 10)}
    for one in found:
        for made in (one.result.environment, *(e for trained in one.result.accuracies for e in trained.environments)):
            assert not [word for word in made.argv if word.startswith(("/", "~")) or "=/" in word or ":\\" in word]


# --- refusals


def unscored(result):
    return replace(result, protocol=None, protocol_digest=None, embedder=None, real=None)


def sized(*records):
    """The result with sets of so many images of each class."""
    sets = tuple(SetRecord("mine", "by hand", "f" * 64, sum(one), one) for one in records)
    scores = [replace(s, values=s.values * len(sets), per_class=s.per_class * len(sets)) for s in scored().scores]
    return replace(scored(), sets=sets, scores=tuple(scores))


@pytest.mark.parametrize(
    ("result", "dataset", "method", "message"),
    [
        (unscored(scored()), "cifar10", "a", "mine: holds accuracies alone; .*divbench score .* -o FILE"),
        (sized((10,) * 9 + (9,)), "cifar10", "a", "has 9 to 10 images per class.* --ipc"),
        (sized((10,) * 10, (9,) * 10), "cifar10", "a", "has 9 to 10 images per class"),
        (sized(()), "cifar10", "a", "has no labels"),
        (sized((0,) * 10), "cifar10", "a", "has 0 to 0 images per class"),
        (scored(), "cifar10", "Aa + Xx", "unknown method .*did you mean 'a[+]x'[?].*methods.toml"),
        (scored(), "cifar10", "randon", "unknown method 'randon'; did you mean 'random'[?]"),
        (scored(), "cifar10", "x", "'x' is an addition"),
        (scored(), "cifar10", "a+b", "only additions follow"),
        (scored(), "cifar10", "../a", "unknown method"),
        *((scored(), bad, "a", "is no key of a data set: .*cifar10") for bad in ("CIFAR10", "", "a/b", "..", "a\n")),
    ],
)  # fmt: skip
def test_what_no_entry_can_be_is_refused(methods, folder, tmp_path, result, dataset, method, message):
    with pytest.raises(ResultError, match=message):
        entry_of(result, dataset, method, methods)
    with pytest.raises(ResultError, match=message):
        add(saved(tmp_path / "mine.json", result), folder, method, dataset=dataset)
    assert below(folder) == {}


def test_files_that_are_no_entries_are_all_named(folder, methods):
    good = put(folder, "a", scored())
    name = good.name
    wrong = {
        "cifar10/ipc50/a/" + name: "holds the result of cifar10/ipc10/a/",
        "cifar10/ipc10/a/other-12345678.json": "move it there",
        "cifar10/ipc010/a/" + name: "move it there",
        "cifar10/ipc10/c/" + name: "unknown method 'c'",
        "CIFAR/ipc10/a/" + name: "is no key of a data set",
        name: "is no entry; entries are <dataset>/ipc<N>/<method>/<protocol>.json",
        "cifar10/ipc10/a/more/" + name: "is no entry",
    }
    for place in wrong:
        (folder / "results" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(good, folder / "results" / place)
    wrong |= {"cifar10/ipc10/a/notes.txt": "is no entry", "cifar10/ipc10/b/cut.json": "is no divbench result"}
    (folder / "results/cifar10/ipc10/b").mkdir()
    for place in ("cifar10/ipc10/a/notes.txt", "cifar10/ipc10/b/cut.json"):
        (folder / "results" / place).write_text(good.read_text()[:500])
    found, problems = load_entries(folder / "results", methods)
    assert [one.place for one in found] == [f"cifar10/ipc10/a/{good.stem}"]
    assert len(problems) == len(wrong)
    for place, message in wrong.items():
        (mine,) = [one for one in problems if one.startswith(f"{folder / 'results' / place}: ")]
        assert re.search(message, mine)


def test_an_edited_number_is_noticed(folder, methods):
    path = put(folder, "a", scored())
    data = json.loads(path.read_text())
    data["scores"][0]["values"] = [0.9]
    path.write_text(json.dumps(data))
    (problem,) = load_entries(folder / "results", methods)[1]
    assert "values" in problem or "mean" in problem
    assert problem.startswith(str(path))


def test_entries_of_one_data_set_and_protocol_compare(folder, methods, tmp_path):
    put(folder, "a", scored(ipc=50))
    other = saved(tmp_path / "b.json", scored(real="other"))
    with pytest.raises(ResultError, match=r"b/hand.* beside cifar10/ipc50/a/.*different real sets"):
        add(other, folder, "b")
    assert len(below(folder)) == 1
    add(other, folder, "b", dataset="cifar10-mine")
    put(folder, "b", scored(real="another"))
    found, problems = load_entries(folder / "results", methods)
    assert len(found) == 3
    assert "cifar10/ipc50/a/" in problems[0]
    assert "cifar10/ipc10/b/" in problems[0]


ANIMALS = tuple(f"animal {i}" for i in range(10))


@pytest.mark.parametrize(
    ("result", "dataset", "method", "message"),
    [
        (scored("z", protocol=OTHER, real="other"), "cifar10", "b", "has other real images than cifar10/ipc10/a/"),
        (scored("z", protocol=OTHER), "cifar10-mine", "b", "very real images, under another key, of cifar10/ipc10/a/"),
        (replace(scored("z", protocol=OTHER), classes=ANIMALS), "cifar10", "b", "has other classes than cifar10/ipc10"),
        (scored("mine"), "cifar10", "b", "very synthetic images, as another method, of cifar10/ipc10/a/"),
        (scored("z", dataset="cifar100"), "cifar100", "b", "cifar100 has 100 classes, and the result 10"),
    ],
)
def test_a_data_set_is_one_thing_under_one_key(folder, tmp_path, result, dataset, method, message):
    add(saved(tmp_path / "mine.json", scored("mine")), folder, "a")
    before = below(folder)
    path = saved(tmp_path / "other.json", result)
    with pytest.raises(ResultError, match=message):
        add(path, folder, method, dataset=dataset)
    assert below(folder) == before


def test_the_same_images_may_be_scored_under_another_protocol(folder, methods, tmp_path):
    for protocol in (PROTOCOL, OTHER):
        add(saved(tmp_path / "mine.json", scored("mine", protocol=protocol)), folder, "a")
    assert [len(found) for found in load_entries(folder / "results", methods)] == [2, 0]


@pytest.mark.parametrize("note", ["two\nlines", "x" * 301, " x", "\x1b[31m"])
def test_a_note_is_a_line(folder, tmp_path, note):
    path = saved(tmp_path / "mine.json", scored())
    with pytest.raises(ResultError, match="a note is one line of at most 300 characters"):
        add(path, folder, "a", note=note)


def test_students_may_have_other_recipes(folder, methods, tmp_path):
    add(saved(tmp_path / "a.json", scored("a", students=(0.5, 0.6))), folder, "a")
    add(saved(tmp_path / "b.json", recipe(scored("b", students=(0.5, 0.6)), "soft", "e" * 16)), folder, "b")
    found, problems = load_entries(folder / "results", methods)
    assert (len(found), problems) == (2, [])


# --- add


def test_add_names_an_entry_and_says_what_was_replaced(folder, tmp_path):
    path = saved(tmp_path / "mine.json", scored("my own name", coverage=0.1, note="mine"))
    entry, changes = add(path, folder, "a+x", note="how it was made")
    assert changes == []
    held = load_result(folder / "results" / f"{entry.place}.json")
    assert held == replace(load_result(path), name="Aa + Xx", note="how it was made")
    saved(path, scored(coverage=0.2, cosine=None))
    before = below(folder)
    with pytest.raises(OutputError, match=r"a\+x/hand-.*json: is there already; give --replace"):
        add(path, folder, "a+x")
    assert below(folder) == before
    again, changes = add(path, folder, "a+x", overwrite=True)
    assert load_result(folder / "results" / f"{again.place}.json").note == "how it was made"
    values = [one for one in changes if one.what.endswith("scope")]
    assert {one.what: (one.place, one.old, one.new) for one in values} == {
        f"{metric}, {scope} scope": (entry.place, pytest.approx(old), new and pytest.approx(new))
        for metric, old, new in (("coverage", 0.1, 0.2), ("cosine", 0.8, None))
        for scope in ("class", "dataset")
    }
    add(path, folder, "a+x", overwrite=True, note="another")
    assert load_result(folder / "results" / f"{entry.place}.json").note == "another"


def test_nothing_is_added_to_a_leaderboard_that_is_broken(folder, tmp_path):
    path = saved(tmp_path / "mine.json", scored())
    broken = put(folder, "a", scored())
    broken.write_text("{")
    before = below(folder)
    for method in ("a", "b"):
        with pytest.raises(ResultError, match=r"/a/hand.*is no divbench result"):
            add(path, folder, method, overwrite=True)
    assert below(folder) == before
    broken.unlink()
    add(path, folder, "b")


PATHS = {
    "/home/me/sets/c10": "c10", "--real=/data/cifar10.npz": "--real=cifar10.npz", "C:\\Users\\me\\x.json": "x.json",
    "--weights=D:/nets/r.safetensors": "--weights=r.safetensors", "\\\\host\\share\\y.pt": "y.pt",
    "/data/sets/": "sets", "/home/Jane Doe/x y.json": "x y.json", "--real=/home/o'brien/c10": "--real=c10",
    "-o/home/me/x.json": "-ox.json", "--set=teacher=~/nets/t.st": "--set=teacher=t.st", "../../me/z.npz": "z.npz",
    "sets/mine": "sets/mine", "../x": "x", "--ipc": "--ipc", "10": "10", "a=b": "a=b",
    "--set=lr=1e-3": "--set=lr=1e-3", "lr=0.1": "lr=0.1", "cifar10": "cifar10", "": "", "-": "-",
    "https://host/x/y": "https://host/x/y",
}  # fmt: skip


def test_command_lines_lose_their_folders(folder, tmp_path):
    result = scored(students=(0.5, 0.6))
    (trained,) = result.accuracies
    made = replace(result.environment, argv=("/opt/bin/divbench", *PATHS))
    twice = [replace(trained, net=net, environment=made, earlier=(made,)) for net in ("convnet3", "resnet18")]
    scores = [s for s in result.scores if s.metric.startswith("accuracy")]
    result = replace(
        result, accuracies=tuple(twice),
        scores=(*result.scores, *(replace(s, metric="accuracy/resnet18") for s in scores)),
        environment=replace(result.environment, argv=("/src/divbench/__main__.py", *PATHS)),
    )  # fmt: skip
    entry, _ = add(saved(tmp_path / "mine.json", result), folder, "a")
    held = load_result(folder / "results" / f"{entry.place}.json")
    assert held.environment.argv == ("divbench", *PATHS.values())
    assert [e.argv for one in held.accuracies for e in one.environments] == [("divbench", *PATHS.values())] * 4
    rest = replace(held, name="mine", environment=result.environment, accuracies=result.accuracies)
    assert rest == result
    assert replace(held.accuracies[1], environment=made, earlier=(made,)) == twice[1]


def test_nothing_else_in_a_result_names_a_folder(folder, tmp_path):
    """Files that were left out, and what the reader noticed; the protocol stays, as its digest is of it."""
    odd = replace(PROTOCOL, embedder="/nets/own.safetensors")
    result = scored(protocol=odd)
    record = replace(result.sets[0], skipped=("/home/me/sets/c10/7.png: is no image",), notes=("from ../me/x.tar",))
    entry, _ = add(saved(tmp_path / "mine.json", replace(result, sets=(record,))), folder, "a")
    (held,) = load_result(folder / "results" / f"{entry.place}.json").sets
    assert (held.skipped, held.notes) == (("7.png: is no image",), ("from x.tar",))
    assert entry.result.protocol == odd


def test_no_command_line_stays_none(folder, tmp_path):
    entry, _ = add(saved(tmp_path / "mine.json", scored()), folder, "a")
    assert entry.result.environment.argv == ()
