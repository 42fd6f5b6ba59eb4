"""Protocols: strict files, and a digest of all that changes a number and nothing else."""

import msgspec
import pytest

from divbench.errors import ProtocolError
from divbench.protocol import Protocol, load_protocol, protocol_digest, protocol_names
from tests.records import PROTOCOL


def test_shipped_protocols():
    assert protocol_names() == ["paper-clip", "paper-resnet18", "quick"]
    for name in protocol_names():
        protocol = load_protocol(name)
        assert protocol.name == name
        assert protocol.real_per_class is None
        assert protocol.metrics["coverage"] == {"k": 5}
        assert protocol.scopes == ("class", "dataset")
    assert load_protocol("paper-clip").metrics == load_protocol("paper-resnet18").metrics


def test_digest_ignores_names_and_nothing_else():
    def digest(embedder="e", **changes):
        return protocol_digest(msgspec.structs.replace(PROTOCOL, **changes), embedder)

    same = {digest(), digest(name="x"), digest(description="x"), digest(embedder="e")}
    assert len(same) == 1
    different = [
        digest(metrics={"coverage": {"k": 6}, "vendi": {"q": 1.0}}),
        digest(metrics={"coverage": {"k": 5}}),
        digest(scopes=("class",)),
        digest(real_per_class=50),
        digest(seed=1),
        digest(level=0.9),
        digest("another embedder"),
    ]
    assert len(same | set(different)) == 8


def test_digest_does_not_depend_on_the_order_of_metrics():
    turned = msgspec.structs.replace(PROTOCOL, metrics=dict(reversed(PROTOCOL.metrics.items())))
    assert protocol_digest(turned, "e") == protocol_digest(PROTOCOL, "e")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x'", "missing required field"),
        ("nmae = 'x'", "unknown field `nmae`"),
        ("name = 'x'\ndescription = ''\nembedder = 'e'\n[metrics]", "at least one metric"),
        ("name = 'x'\ndescription = ''\nembedder = 'e'\nlevel = 95\n[metrics.vendi]", "level is a confidence level"),
        ("name = 'x'\ndescription = ''\nembedder = 'e'\nscopes = ['image']\n[metrics.vendi]", "Invalid enum value"),
        ("name = ", "Invalid value"),
    ],
)
def test_wrong_files_are_explained(tmp_path, text, message):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ProtocolError, match=message) as error:
        load_protocol(str(path))
    assert "p.toml" in str(error.value)


def test_unknown_names():
    with pytest.raises(ProtocolError, match="unknown protocol 'papr'; known: paper-clip, paper-resnet18, quick"):
        load_protocol("papr")
    with pytest.raises(ProtocolError, match=r"none\.toml: cannot be read"):
        load_protocol("none.toml")


def test_protocols_are_hashable_records():
    assert isinstance(PROTOCOL, Protocol)
    assert msgspec.json.decode(msgspec.json.encode(PROTOCOL), type=Protocol) == PROTOCOL
