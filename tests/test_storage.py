import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from divbench.errors import InputError, WeightsError
from divbench.storage import load_safetensors, load_torch

TENSOR = torch.arange(6.0).view(2, 3)


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("mmap", [False, True])
def test_tensors_containers_and_what_scripts_leave_beside_them(tmp_path, mmap):
    beside = {"acc": np.float64(0.5), "best": np.int64(7), "args": argparse.Namespace(lr=1), "name": "a", "list": [1]}
    torch.save({"images": TENSOR, **beside}, tmp_path / "a.pt")
    found = load_torch(tmp_path / "a.pt", InputError, "do better", mmap=mmap)
    assert torch.equal(found.pop("images"), TENSOR)
    assert found == beside


@pytest.mark.parametrize("error", [InputError, WeightsError])
def test_other_objects_are_refused_and_nothing_runs(tmp_path, error):
    target = tmp_path / "executed"
    for zipped in (True, False):
        torch.save({"a": Attack(target)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(error, match=r"a\.pt: asks for .*, and loading that could execute code.*; do better$"):
            load_torch(tmp_path / "a.pt", error, "do better")
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"a": Attack(target)}))
    with pytest.raises(error, match=r"b\.pt: holds more than tensors.*could execute code.*; do better$"):
        load_torch(tmp_path / "b.pt", error, "do better")
    assert not target.exists()


@pytest.mark.parametrize("content", [nn.Linear(1, 1), np.zeros(3), Path(), np.float16(1)], ids=lambda c: repr(c)[:8])
def test_only_the_listed_kinds_are_let_in(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError, match="could execute code, so it was refused; do better"):
        load_torch(tmp_path / "a.pt", InputError, "do better")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4 no archive", b"\x80\x02abc"])
def test_damaged_files_are_not_called_dangerous(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pt: not a readable file of torch\.save \(.+\); fetch or save it again"):
        load_torch(tmp_path / "a.pt", WeightsError, "do better")
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.safetensors: not a readable safetensors file"):
        load_safetensors(tmp_path / "a.safetensors", InputError)


def test_safetensors_come_with_their_header(tmp_path):
    save_file({"images": TENSOR}, tmp_path / "a.safetensors", {"mean": "0.5"})
    tensors, metadata = load_safetensors(tmp_path / "a.safetensors", InputError)
    assert torch.equal(tensors["images"], TENSOR)
    assert metadata == {"mean": "0.5"}
    save_file({"images": TENSOR}, tmp_path / "b.safetensors")
    assert load_safetensors(tmp_path / "b.safetensors", InputError).metadata == {}
