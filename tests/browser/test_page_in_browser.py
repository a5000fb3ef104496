"""The page of results in a browser, as its reader uses it."""

import csv
import json
import re
from collections.abc import Iterator

import pytest
from browser.chromium import Browser, browser
from unit.reporting.fake_studies import PUBLISHED, open_study

from tokenmix.cli import main
from tokenmix.reporting.inputs import Study

#: with counterparts among the published models
MODELS = ("s12-tttt-pooling3", "s12-tttt-local_attn5", "s12-tttt-identity", "resnet18-k3")
HOSTILE = '<img src="x" onerror="document.title=1"> & </script><b>"A"</b> {{x}} &lt;i&gt;'


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose data set and title have the names of an attacker."""
    root = tmp_path_factory.mktemp("study")
    titles = {"breastmnist": HOSTILE}
    path = open_study(root, models=MODELS, size=224, phantoms=True, titles=titles).path
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "title": HOSTILE}))
    made = Study.open(path)
    write_page(made)
    return made


def write_page(study: Study) -> None:
    for product in ("values", "claims", "runs", "page"):
        assert main(["report", product, "--plan", str(study.path)]) == 0


def url(study: Study, place: str = "") -> str:
    return (study.folder / "report.html").resolve().as_uri() + place


def column(chromium: Browser, number: int) -> list[str]:
    return chromium.texts(f"main tbody td:nth-child({number})")


def test_a_reader_filters_sorts_and_follows_a_cell_to_its_run(chromium, study):
    chromium.problems.clear()
    chromium.open(url(study))
    assert len(column(chromium, 1)) == 8
    chromium.choose("main label:first-child select", "local attention 5×5")
    assert column(chromium, 1) == ["local attention 5×5"] * 2
    chromium.choose("main label:first-child select", "")
    chromium.write("main input[type=search]", "pneumonia")
    assert column(chromium, 2) == ["pneumoniamnist"] * 4
    for direction in ("ascending", "descending"):
        chromium.click("main thead th:nth-child(4)")
        chromium.until(f"document.querySelector('main thead th:nth-child(4)').ariaSort === '{direction}'")
        order = [float(text) for text in column(chromium, 4)]
        assert order == sorted(order, reverse=direction == "descending")
    best = max(
        (cell for cell in study.cells.values() if (cell.dataset, cell.metric) == ("pneumoniamnist-224", "accuracy")),
        key=lambda cell: cell.mean,
    )
    assert order[0] == pytest.approx(best.mean, abs=5e-4)
    chromium.click("main tbody tr:first-child td:nth-child(4)")
    chromium.until("location.hash.startsWith('#cell=') && !document.getElementById('panel').hidden")
    panel = chromium.text("#panel")
    assert f"pneumoniamnist-224/{best.model}/scratch" in panel
    assert f"{best.mean:.3f}" in panel and f"[{best.low:.3f}, {best.high:.3f}]" in panel
    assert "snakemake" in panel and "tokenmix trace accuracy/" in panel
    assert chromium.evaluate("document.querySelectorAll('#panel polyline').length") == len(best.runs)
    chromium.click("#panel td a")
    chromium.until("document.querySelector('#panel h2').innerText.startsWith('Seed')")
    run = study.run(best.runs[0])
    panel = chromium.text("#panel")
    for told in (run["run"], run["hashes"]["code"][:8], run["git"]["commit"][:8], run["execution"]["device"]):
        assert told in panel
    chromium.click("#panel .close")
    chromium.until("document.getElementById('panel').hidden")
    assert chromium.problems == []


def test_no_request_leaves_the_file(chromium, study):
    chromium.open(url(study))
    for place in ("runs", "reported", "claims", "values"):
        chromium.click(f"nav a[href='#{place}']")
        chromium.until(f"document.querySelector('nav [aria-current]').hash === '#{place}'")
        chromium.click("main > div:not([hidden]) tbody a")
        chromium.until("!document.getElementById('panel').hidden")
        chromium.click("#panel .close")
        chromium.until("document.getElementById('panel').hidden")
    others = [at for at in chromium.requests if not at.startswith("data:text/javascript;")]
    assert others == [url(study)]
    # even a script that wanted to could not
    refused = "addEventListener('securitypolicyviolation', e => done(e.blockedURI))"
    asked = "fetch('http://127.0.0.1:9/').catch(() => setTimeout(done, 1000, 'asked'))"
    assert chromium.evaluate(f"new Promise(done => {{ {refused}; {asked} }})") == "http://127.0.0.1:9/"
    chromium.problems.clear()


def test_names_with_specials_of_html_are_texts(chromium, study):
    chromium.problems.clear()
    chromium.open(url(study))
    assert chromium.text("h1") == HOSTILE and chromium.evaluate("document.title") == f"{HOSTILE} – results"
    assert column(chromium, 2)[0] == HOSTILE
    chromium.choose("main label:nth-child(2) select", HOSTILE)
    assert column(chromium, 2) == [HOSTILE] * 4
    chromium.click("main tbody a")
    chromium.until("location.hash.startsWith('#cell=') && !document.getElementById('panel').hidden")
    assert HOSTILE in chromium.text("#panel h2")
    assert chromium.evaluate("document.querySelectorAll('body img, body b b, body i').length") == 0
    assert chromium.problems == []


def test_the_links_of_the_pdf_lead_to_their_cells_and_runs(chromium, study):
    places = re.findall(r"\\tmxpage\{((?:cell|run)=[^}]+)\}", (study.paper / "runs.tex").read_text())
    assert len(places) == 8 + len(study.runs)
    for place in (places[0], places[1], places[-1]):
        chromium.open(url(study, f"#{place}"))
        assert place.partition("=")[2] in chromium.text("#panel dd")
    chromium.open(url(study, "#cell=no/such/cell"))
    assert chromium.text("#panel h2") == "No cell of this study is called no/such/cell"


def test_published_values_and_claims_are_told(chromium, study):
    compared = list(csv.DictReader((study.paper / "tables/reported.csv").open()))
    assert compared and PUBLISHED.is_dir()
    chromium.open(url(study, "#reported"))
    assert column(chromium, 5) == [f"{float(row['reported']):.3f}" for row in compared][:25]
    claims = json.loads((study.paper / "claims.json").read_text())
    chromium.open(url(study, "#claims"))
    assert column(chromium, 2) == [claim["verdict"] for claim in claims.values()]
    tested = next(key for key, claim in claims.items() if claim["evidence"])
    chromium.open(url(study, f"#claim={tested}"))
    assert claims[tested]["predicate"] in chromium.text("#panel")
    assert f"{claims[tested]['evidence'][0]['estimate']:.3f}".replace("-", "−") in chromium.text("#panel table")


def test_any_value_is_found_and_leads_to_its_cells_and_runs(chromium, study):
    chromium.problems.clear()
    registry = json.loads((study.paper / "values.json").read_text())
    chromium.open(url(study, "#values"))
    assert chromium.text(".dt-info") == f"Showing 1 to 25 of {len(registry):,} entries"
    chromium.choose("main label:first-child select", "auc")
    chromium.click("main thead th:nth-child(3)")
    chromium.until("document.querySelector('main thead th:nth-child(3)').ariaSort === 'ascending'")
    order = [registry[name]["value"] for name in column(chromium, 1)]
    assert order == sorted(order) and order[0] < order[-1]
    assert {name.partition("/")[0] for name in column(chromium, 1)} == {"auc"}
    assert column(chromium, 3) == [registry[name]["text"] for name in column(chromium, 1)]
    # a text is found as it is printed, whatever number stands behind it
    chromium.choose("main label:first-child select", "best")
    chromium.write("main input[type=search]", registry["best/auc/pneumoniamnist-224"]["text"])
    assert "best/auc/pneumoniamnist-224" in column(chromium, 1)
    # the PDF's link to a finding, from there to what stands on the same line, to a cell and to a run
    name = "best_value/auc/breastmnist-224"
    value = registry[name]
    place = re.search(
        r"finding:[^}]*/breastmnist-224\}\\tmxpage\{(value=[^}]+)\}", (study.paper / "runs.tex").read_text()
    )[1]
    chromium.open(url(study, f"#{place}"))
    chromium.click(f"#panel td a[href='#value={name}']")
    chromium.until(f"document.querySelector('#panel dd').innerText === '{name}'")
    panel = chromium.text("#panel")
    assert chromium.text("#panel h2") == value["text"] and str(value["n"]) in panel and value["how"] in panel
    assert f"{len(value['runs'])} runs" in panel and str(study.folder / value["files"][0]) in panel
    assert "Value" in chromium.text("nav [aria-current]")
    chromium.click("#panel summary")
    assert len(chromium.texts("#panel details a")) == len(value["runs"])
    chromium.click("#panel details a")
    chromium.until("document.querySelector('#panel h2').innerText.startsWith('Seed')")
    assert value["runs"][0] in chromium.text("#panel")
    chromium.open(url(study, f"#value={name}"))
    chromium.click("#panel li a")
    chromium.until("location.hash.startsWith('#cell=breastmnist-224/')")
    chromium.open(url(study, "#value=data/breastmnist-224/title"))
    assert chromium.text("#panel h2") == HOSTILE
    assert chromium.evaluate("document.querySelectorAll('body img, body b b, body i').length") == 0
    chromium.open(url(study, "#value=no/such"))
    assert chromium.text("#panel h2") == "No value of this study is called no/such"
    assert chromium.problems == []


def test_the_page_says_what_it_shows(chromium, study):
    chromium.open(url(study, "#cell=breastmnist-224/resnet18-k3/scratch"))
    assert chromium.text("#phantoms") == "phantom images – not medical results"
    top = "(e => document.elementFromPoint(innerWidth - 80, 10) === e)(document.getElementById('phantoms'))"
    assert chromium.evaluate(top), "an open panel must not hide the banner"
    assert "Study fake, computed 2026-02-05, commit 2badcafe" in chromium.text("header")


def test_colours_follow_the_system_until_one_is_chosen(chromium, study):
    back = "getComputedStyle(document.body).backgroundColor"
    chromium.open(url(study))
    light = chromium.evaluate(back)
    chromium.open(url(study), dark=True)
    dark = chromium.evaluate(back)
    assert light != dark
    chromium.choose("#theme", "light")
    assert chromium.evaluate(back) == light
    chromium.choose("#theme", "light dark")
    assert chromium.evaluate(back) == dark


def test_a_phone_needs_no_sideways_scrolling(chromium, study):
    value = "#value=best_value/auc/breastmnist-224"
    for place in ("", "#runs", "#claims", "#values", value, "#cell=breastmnist-224/resnet18-k3/scratch"):
        chromium.open(url(study, place), width=390, height=800)
        assert chromium.evaluate("document.documentElement.scrollWidth") == 390
        assert chromium.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.getElementById('panel'))")
    assert chromium.evaluate("document.getElementById('panel').offsetWidth") == 390


def test_a_page_of_two_thousand_runs_shows_a_few_at_a_time(chromium, tmp_path):
    large = open_study(tmp_path, datasets=("a", "b", "c", "d", "e"), models=MODELS, seeds=range(100), diverged=())
    assert len(large.index["runs"]) == 2000
    for run in large.index["runs"]:
        path = large.results / "runs" / run / "history.csv"
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *rows * 20]) + "\n")  # 200 validations each
    write_page(large)
    chromium.open(url(large, "#runs"))
    assert chromium.text(".dt-info") == "Showing 1 to 25 of 2,000 entries"
    assert chromium.evaluate("document.querySelectorAll('*').length") < 3000
