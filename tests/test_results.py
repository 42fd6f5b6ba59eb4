"""Result files: strict, atomic, and described by the schema that is checked in."""

import json
import os
from pathlib import Path

import msgspec
import pytest

import divbench
from divbench.errors import OutputError, ResultError
from divbench.results import load_result, result_schema, save_result
from tests.records import make_result, make_score
from tests.report.students import make_accuracy, trained_result

SCHEMA_FILE = Path(divbench.__file__).parent / "result.schema.json"


def test_round_trip_and_same_bytes(tmp_path):
    result = make_result()
    save_result(result, tmp_path / "a.json")
    assert load_result(tmp_path / "a.json") == result
    save_result(load_result(tmp_path / "a.json"), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_the_schema_beside_the_records_is_theirs():
    assert SCHEMA_FILE.read_bytes() == result_schema(), "write divbench.results.result_schema() to result.schema.json"


def edited(tmp_path, edit):
    save_result(trained_result("entry", make_accuracy()), tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    edit(data)
    (tmp_path / "r.json").write_text(json.dumps(data))
    return tmp_path / "r.json"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(extra=1), "unknown field `extra`"),
        (lambda d: d["scores"][0].pop("values"), r"missing required field `values` - at `\$\.scores\[0\]`"),
        (lambda d: d["scores"][0].update(scope="klass"), r"Invalid enum value 'klass' - at `\$\.scores\[0\]\.scope`"),
        (lambda d: d["scores"][0].update(values=["0.5"]), r"got `str` - at `\$\.scores\[0\]\.values\[0\]`"),
        (lambda d: d.update(schema=99), "has schema 99, this divbench reads schema 2; score the sets again"),
        (lambda d: d["protocol"]["metrics"]["coverage"].update(k=10), r"\$\.protocol_digest .* the file was edited"),
        (lambda d: d["protocol"].update(metrics={}), "at least one metric"),
        (
            lambda d: d["scores"][0].update(values=[0.9]),
            r"\(coverage, class scope\) has the value 0.9, but its classes",
        ),
        (lambda d: d["scores"][0].update(values=[0.3, 0.3]), "has 2 values for 1 sets"),
        (lambda d: d["scores"][0].update(per_class=[[0.3]]), "has 1 per-class values for 3 classes"),
        (lambda d: d["scores"][0].update(per_class=[]), "has 0 per-class vectors for 1 sets"),
        (lambda d: d["scores"][0]["interval"].update(low=0.35), "an interval that does not hold its value"),
        (lambda d: d["scores"].append(d["scores"][0]), "holds a metric twice"),
        (lambda d: d["scores"][0]["interval"].update(level=1), "level 1.0, which must lie between 0 and 1"),
        (lambda d: d["classes"].__setitem__(0, d["classes"][1]), r"\$\.classes holds a class twice"),
        (lambda d: d["sets"][0].update(count=29), r"\$\.sets\[0\] has 29 images, but 30 over its classes"),
        (lambda d: d["sets"][0].update(per_class=[30]), r"\$\.sets\[0\] has 1 per-class counts for 3 classes"),
        (lambda d: d["real"].update(per_class=[301, -1, 0]), r"\$\.real has a negative number"),
        (lambda d: d["accuracies"].append(d["accuracies"][0]), "holds a network twice"),
        (lambda d: d["accuracies"][0]["test"].update(count=1), r"\$\.accuracies\[0\]\.test has 1 images, but 30"),
        (lambda d: d["accuracies"][0]["runs"][0].update(set=1), r"\(convnet3\) has a run on set 1 of 1"),
        (lambda d: d["accuracies"][0]["runs"][0].update(set=-1), r"\(convnet3\) has a run on set -1 of 1"),
    ],
)
def test_edited_files_are_refused(tmp_path, edit, message):
    path = edited(tmp_path, edit)
    with pytest.raises(ResultError, match=message) as error:
        load_result(path)
    assert str(path) in str(error.value)


def test_values_nested_without_end(tmp_path):
    path = edited(tmp_path, lambda d: None)
    text = path.read_text().replace('"settings": {}', '"settings": {"a": ' + "[" * 10**5 + "]" * 10**5 + "}")
    path.write_text(text)
    with pytest.raises(ResultError, match="is no divbench result"):
        load_result(path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "r.json").write_bytes(b'{"schema": 2, "name": "\xff"}')
    with pytest.raises(ResultError, match="is no divbench result"):
        load_result(tmp_path / "r.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1, "name": NaN}', "not json", '{"name": "x"}'])
def test_what_is_no_result_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ResultError, match="is no divbench result"):
        load_result(tmp_path / "r.json")


def test_missing_file(tmp_path):
    with pytest.raises(ResultError, match="cannot be read"):
        load_result(tmp_path / "none.json")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_json_cannot_hold_are_never_written(tmp_path, bad):
    result = msgspec.structs.replace(make_result(), scores=(make_score(reference={"iid": (bad,)}),))
    with pytest.raises(ResultError, match="NaN or infinite"):
        save_result(result, tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    save_result(make_result(), path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("divbench.files.os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_result(make_result(name="other"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_an_interrupt_in_the_middle_of_a_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    save_result(make_result(), path)
    before = path.read_bytes()

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("divbench.files.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_result(make_result(name="other"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_unwritable_folder(tmp_path):
    with pytest.raises(OutputError, match=r"none/r\.json: there is no folder .*none; make it first"):
        save_result(make_result(), tmp_path / "none" / "r.json")
    with pytest.raises(OutputError, match="is a folder; name a file in it"):
        save_result(make_result(), tmp_path)


def test_what_is_no_regular_file_is_written_to_and_not_replaced(tmp_path):
    os.symlink("/dev/null", tmp_path / "null")
    save_result(make_result(), tmp_path / "null")
    assert (tmp_path / "null").is_char_device()


def test_score_look_up():
    result = make_result()
    assert result.score("coverage").value == pytest.approx(0.3)
    with pytest.raises(ResultError, match="holds no 'vendi' at dataset scope; it holds coverage/class"):
        result.score("vendi", "dataset")


def test_a_mean_is_never_taken_over_missing_parts():
    assert make_score(values=(0.2, None)).value is None
    assert make_score(values=()).value is None
