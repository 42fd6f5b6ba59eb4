"""`divbench report` and `divbench plot` as a user meets them."""

import msgspec
import pytest
from click.testing import CliRunner
from PIL import Image

from divbench.cli import main
from divbench.images import read_images
from divbench.results import save_result
from tests.report.stories import entry, with_students

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DIVBENCH_CACHE", str(tmp_path / "cache"))


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def scored(few_digits, tmp_path_factory):
    """Digits: two sets of six images per class, and their results."""
    root = tmp_path_factory.mktemp("digits")
    digits = read_images("digits")
    for name, start in (("x", 0), ("x+y", 6)):
        for label, folder in enumerate(digits.classes):
            (root / name / folder).mkdir(parents=True)
            for i, row in enumerate((digits.labels == label).nonzero()[start : start + 6, 0].tolist()):
                pixels = digits.images[row].permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(root / name / folder / f"{i}.png")
        done = run("score", root / name, "--real", "digits", "-p", "quick", "--no-cache", "-o", root / f"{name}.json")
        assert done.exit_code == 0, done.stderr
    return root


@pytest.fixture
def trained(tmp_path):
    for name, accuracies in (("x", (0.5, 0.52)), ("x+y", (0.6, 0.63))):
        save_result(entry(name, accuracy=accuracies), tmp_path / f"{name}.json")
    return [tmp_path / "x.json", tmp_path / "x+y.json"]


def test_a_report_of_results_and_images(scored, tmp_path):
    out = tmp_path / "page.html"
    done = run(
        "report", scored / "x.json", scored / "x+y.json", "--sets", scored / "x+y", "--sets", scored / "x",
        "--real", "digits", "-e", "pixels", "--title", "A <title>", "--perplexity", 10, "-o", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "open it in a browser" in done.stderr
    text = out.read_text()
    assert "<h1>A &lt;title&gt;</h1>" in text
    assert "perplexity 10, PCA start, seed 0" in text
    assert text.count("best covered real") == 20


@pytest.mark.slow
def test_a_report_file_makes_the_same_page_beside_it(scored):
    config = scored / "demo.toml"
    config.write_text(
        'results = ["x.json", "x+y.json"]\nreal = "digits"\ntitle = "T"\n'
        '[[sets]]\npath = "x"\n[[sets]]\npath = "x+y"\n[embedder]\nname = "pixels"\n[tsne]\nperplexity = 10.0\n'
    )
    assert run("report", "--config", config).exit_code == 0
    page = (scored / "demo.html").read_bytes()
    done = run("report", "--config", config)
    assert done.exit_code == 0, done.stderr
    assert (scored / "demo.html").read_bytes() == page
    assert b"<title>T</title>" in page


def test_a_report_of_results_alone(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("report", *trained)
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "report.html").read_text()
    assert "x+y <span>beside x</span>" in text
    assert '<section id="images">' not in text


def test_a_report_shows_the_students_that_compare(tmp_path):
    """Those of one network learned by two recipes."""
    for name, values in (("x", (0.5, 0.52)), ("x+y", (0.6, 0.63))):
        students = with_students(entry(name, accuracy=values), values, "resnet18")
        other = msgspec.structs.replace(students.accuracies[0], digest=name.encode().hex().zfill(16))
        students = msgspec.structs.replace(students, accuracies=(other, *students.accuracies[1:]))
        save_result(students, tmp_path / f"{name}.json")
    results = [tmp_path / "x.json", tmp_path / "x+y.json", "-o", tmp_path / "page.html"]
    done = run("report", *results)
    assert done.exit_code == 2
    assert "of convnet3" in done.stderr
    assert "or name the networks to show (--net; nets = [...] in a report file)" in done.stderr
    assert run("report", *results, "--net", "resnet18").exit_code == 0
    for metric, status in (("vendi", 0), ("accuracy/resnet18", 0), ("accuracy/convnet3", 2)):
        drawn = run("plot", "classes", *results[:2], "--metric", metric, "-o", tmp_path / "figure.svg")
        assert drawn.exit_code == status, drawn.stderr
    for name, net, status in (("curves", "resnet18", 0), ("seeds", "resnet18", 0), ("seeds", "convnet3", 2)):
        drawn = run("plot", name, *results[:2], "--net", net, "-o", tmp_path / "figure.svg")
        assert drawn.exit_code == status, drawn.stderr
    page = (tmp_path / "page.html").read_bytes()
    assert b"resnet18" in page
    assert b"convnet3" not in page
    done = run("report", *results, "--net", "resnet18,vit")
    assert "no result has students of vit; there are those of convnet3, resnet18" in done.stderr
    alone = msgspec.structs.replace(
        students, name="z", scores=students.scores[-2:], accuracies=students.accuracies[1:], protocol=None,
        protocol_digest=None, embedder=None, real=None,
    )  # fmt: skip
    save_result(alone, tmp_path / "z.json")
    done = run("report", *results[:2], tmp_path / "z.json", "-o", tmp_path / "page.html", "--net", "convnet3")
    assert "z: has no diversity and no students of convnet3; leave it out" in done.stderr
    config = tmp_path / "page.toml"
    config.write_text('results = ["x.json", "x+y.json"]\nnets = ["resnet18"]\n')
    assert run("report", "--config", config).exit_code == 0
    assert config.with_suffix(".html").read_bytes() == page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("results = []", "names no results"),
        ("", "required field `results`"),
        ('results = ["x.json"]\ncolour = 1', "unknown field `colour`"),
        ('results = ["x.json"]\n[tsne]\nperplexity = "many"', r"$.tsne.perplexity"),
        ("results = [", "is no report file"),
        ('results = ["x.json"]\n[tsne]\nseed = -1', "$.tsne.seed"),
    ],
)
def test_report_files_that_are_wrong(tmp_path, text, said):
    (tmp_path / "r.toml").write_text(text)
    done = run("report", "--config", tmp_path / "r.toml")
    assert done.exit_code == 2
    assert said in done.stderr
    assert "r.toml" in done.stderr


def test_report_says_what_is_wrong(trained, scored, tmp_path):
    for arguments, said in (
        ((), "give result files"),
        ((tmp_path / "no.json",), "no.json: cannot be read"),
        ((*trained, "--config", "x.toml"), "leave out results"),
        (("--config", tmp_path / "no.toml"), "no.toml: cannot be read"),
        ((*trained, "--real", "digits"), "give the sets, too"),
        ((scored / "x.json", "--sets", scored / "x+y"), "belong to none of the results"),
        ((*trained, "--pair", "x", "z"), "there is no entry 'z'"),
        ((*trained, "-o", tmp_path / "none" / "x.html"), "there is no folder"),
        ((*trained, "-o", trained[0]), "is what the page is made of"),
        ((*trained, "--pair", "x", "x"), "are one entry"),
    ):
        done = run("report", *arguments)
        assert done.exit_code == 2, arguments
        assert said in done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [
    ("classes", "--metric", "vendi"), ("classes", "--metric", "accuracy/convnet3", "--style", "curves"), ("coverage",),
    ("controls", "--metrics", "vendi,cosine"), ("curves",), ("seeds", "--net", "convnet3"),
])  # fmt: skip
def test_figures_of_results(trained, tmp_path, arguments):
    name, *options = arguments
    done = run("plot", name, *trained, *options, "-o", tmp_path / "figure.svg")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "figure.svg").read_bytes().startswith(b"<?xml")
    assert "x+y" in done.stderr  # the figure in words


@pytest.mark.parametrize("arguments", [
    ("tsne", "--perplexity", 8, "--points", 100), ("tsne", "--class", "3", "--perplexity", 3, "--points", 20),
    ("spectrum",), ("covered", "--class", "7", "-k", 3), ("nearest", "--images", 2),
])  # fmt: skip
def test_figures_of_images_among_real_ones(scored, tmp_path, arguments):
    name, *options = arguments
    sets = [scored / "x"] if name in ("covered", "nearest") else [scored / "x", scored / "x+y"]
    done = run("plot", name, *sets, "--real", "digits", "-e", "pixels", *options, "-o", tmp_path / "figure.png")
    assert done.exit_code == 0, done.stderr
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width > 300


def test_a_grid_needs_no_real_images_and_names_its_rows(scored, tmp_path):
    out = tmp_path / "grid.pdf"
    done = run("plot", "grid", scored / "x", scored / "x+y", "--names", "before,after", "--class", "3", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "Images of before, after, one above the other, for the classes 3" in done.stderr
    assert out.read_bytes().startswith(b"%PDF")


def test_plot_says_what_is_wrong(trained, scored, tmp_path):
    figure = tmp_path / "f.png"
    for arguments, said in (
        (("classes", *trained, "-o", tmp_path / "f.gif"), "written as .png, .svg or .pdf"),
        (("classes", *trained, "--metric", "beauty", "-o", figure), "beauty"),
        (("curves", *trained, "--net", "vit", "-o", figure), "vit"),
        (("classes", *trained, "--font", "Nothing", "-o", figure), "font 'Nothing' is not installed"),
        (("grid", scored / "x", "--class", "11", "-o", figure), "there is no such class"),
        (("grid", scored / "x", "--names", "a,b", "-o", figure), "2 names (a,b) for 1 sets"),
        (("tsne", scored / "x", "--real", "digits", "-e", "pixels", "--perplexity", 900, "-o", figure), "too large"),
    ):
        done = run("plot", *arguments)
        assert done.exit_code == 2, done.stderr
        assert said in done.stderr, done.stderr
        assert not figure.exists()


def test_a_name_in_letters_that_the_font_lacks(tmp_path):
    save_result(msgspec.structs.replace(entry("x"), name="日本"), tmp_path / "x.json")
    done = run("plot", "coverage", tmp_path / "x.json", "-o", tmp_path / "f.png")
    assert done.exit_code == 2
    assert "choose an installed font that has it with --font" in done.stderr
    assert run("report", tmp_path / "x.json", "-o", tmp_path / "x.html").exit_code == 0  # in the reader's fonts


def test_several_numbers_of_images_by_file(tmp_path):
    for name in ("x", "x+y"):
        for ipc in (10, 50):
            save_result(entry(name, ipc=ipc, digest=f"{ipc}{len(name)}" * 21 + "0"), tmp_path / f"{name}{ipc}.json")
    done = run("report", *sorted(tmp_path.glob("*.json")), "-o", tmp_path / "p.html")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "p.html").read_text()
    table = text[text.index('id="ipc-vendi"') :]
    assert table.index("IPC 10") < table.index("IPC 50") < table.index("</thead>")
    assert table[: table.index("</table>")].count('<th scope="row">x') == 2  # one row for each method
    assert "IPC 50 x+y <span>beside IPC 50 x</span>" in text


def test_unlabelled_sets_have_a_page(tmp_path):
    digits = read_images("digits")
    for name, start in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        for i, row in enumerate(range(start, 300, 10)):
            Image.fromarray(digits.images[row].permute(1, 2, 0).numpy()).save(tmp_path / name / f"{i}.png")
        done = run("score", tmp_path / name, "--real", "digits", "-p", "quick", "-o", tmp_path / f"{name}.json")
        assert done.exit_code == 0, done.stderr
    arguments = [tmp_path / "a.json", tmp_path / "b.json", "--sets", tmp_path / "a", "--real", "digits", "-e", "pixels"]
    done = run("report", *arguments, "--perplexity", 10, "-o", tmp_path / "p.html")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "p.html").read_text()
    assert "beside yardstick and controls, dataset scope" in text
    assert 'id="figure-controls"' in text
    assert 'id="scope-class"' not in text
