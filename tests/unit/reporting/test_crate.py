"""The archive is an RO-Crate: what the profiles of Workflow Run Crate 0.5 call a MUST holds, and every link resolves.

The profiles' own validator (roc-validator) cannot be a dependency, as it wants another `rich` and a network.
"""

import hashlib
import json
import zipfile
from urllib.parse import unquote

import pytest
from finished_study import SPECIAL, finished_study
from rocrate.rocrate import ROCrate

from tokenmix.reporting.archive import results

#: where identifiers lie that are not described in the crate itself
ELSEWHERE = ("https://bioschemas.org/profiles/", "https://w3id.org/ro/crate/", "https://doi.org/", "https://snakemake")
WORKFLOW = {"File", "SoftwareSourceCode", "ComputationalWorkflow"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crate")
    study, _ = finished_study(folder)
    results.write(study, folder, folder / "archive.zip")
    return study, folder / "archive.zip"


@pytest.fixture(scope="module")
def graph(made) -> dict:
    """Identifier -> entity, as the file says it."""
    with zipfile.ZipFile(made[1]) as archived:
        entities = json.loads(archived.read("ro-crate-metadata.json"))["@graph"]
    assert len({entity["@id"] for entity in entities}) == len(entities)
    return {entity["@id"]: entity for entity in entities}


def types(entity) -> set[str]:
    found = entity["@type"]
    return {found} if isinstance(found, str) else set(found)


def links(value) -> list[str]:
    """All identifiers that a property points to."""
    if isinstance(value, dict):
        return [value["@id"]]
    return [link for part in value for link in links(part)] if isinstance(value, list) else []


def of_type(graph, name) -> list[dict]:
    return [entity for entity in graph.values() if name in types(entity)]


def test_the_library_loads_the_zip(made):
    crate = ROCrate(made[1])
    assert crate.mainEntity.id == "Snakefile" and crate.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    assert len(crate.get_by_type("CreateAction")) == 1 + len(made[0].index["runs"])


def test_every_link_resolves(graph):
    for entity in graph.values():
        for name, value in entity.items():
            for link in links(value):
                assert link in graph or link.startswith(ELSEWHERE), f"{entity['@id']}: {name} -> {link}"


def test_every_data_entity_is_in_the_archive_with_its_checksum(graph, made):
    parts = links(graph["./"]["hasPart"])
    with zipfile.ZipFile(made[1]) as archived:
        names = set(archived.namelist())
        for identifier in parts:
            name = unquote(identifier)
            assert name in names
            if "File" in types(graph[identifier]):
                content = archived.read(name)
                assert graph[identifier]["sha256"] == hashlib.sha256(content).hexdigest()
                if identifier != "Snakefile":
                    assert int(graph[identifier]["contentSize"]) == len(content)
    described = {entity["@id"] for entity in of_type(graph, "File")}
    assert described <= set(parts)


def test_the_root_names_the_profiles_and_what_the_specification_demands(graph):
    root = graph["./"]
    assert {"name", "description", "datePublished", "license"} <= root.keys()
    assert root["datePublished"].startswith("2026-01-02T03:05:06")
    profiles = links(root["conformsTo"])
    assert {"https://w3id.org/ro/wfrun/process/0.5", "https://w3id.org/ro/wfrun/workflow/0.5"} <= set(profiles)
    assert all("CreativeWork" in types(graph[profile]) for profile in profiles)
    about = graph["ro-crate-metadata.json"]
    assert links(about["about"]) == ["./"] and "https://w3id.org/ro/crate/1.1" in links(about["conformsTo"])


def test_the_workflow_and_its_parameters(graph):
    workflow = graph[links(graph["./"]["mainEntity"])[0]]
    assert types(workflow) == WORKFLOW
    assert types(graph[links(workflow["programmingLanguage"])[0]]) == {"ComputerLanguage"}
    slots = links(workflow["input"]) + links(workflow["output"])
    assert len(slots) >= 6
    for slot in slots:
        assert types(graph[slot]) == {"FormalParameter"} and graph[slot]["additionalType"]
        for example in links(graph[slot]["workExample"]):
            assert types(graph[example]) & {"File", "Dataset", "Collection", "PropertyValue"}
            assert links(graph[example]["exampleOfWork"]) == [slot]


def test_every_run_is_an_action_with_code_data_settings_and_results(graph, made):
    actions = of_type(graph, "CreateAction")
    assert set(links(graph["./"]["mentions"])) == {action["@id"] for action in actions}
    for action in actions:
        instruments = [types(graph[link]) for link in links(action["instrument"])]
        assert instruments and all(kind & {"SoftwareSourceCode", "SoftwareApplication"} for kind in instruments)
        assert action["startTime"] <= action["endTime"]
    (study,) = [action for action in actions if links(action["instrument"]) == links(graph["./"]["mainEntity"])]
    assert "results/tiny/paper.pdf" in links(study["result"])
    for run, entry in made[0].index["runs"].items():
        action = graph[f"#run-{run}"]
        given = [graph[link] for link in links(action["object"])]
        assert {(value["name"], value["value"]) for value in given if "PropertyValue" in types(value)} == {
            ("model", entry["model"]), ("init", entry["init"]), ("seed", str(entry["seed"])),
        }  # fmt: skip
        assert f"results/runs/{run}/predictions.npz" in links(action["result"])
        weights = made[0].run(run)["outputs"]["model.safetensors"]
        assert graph[f"#weights-{weights}"]["sha256"] == weights and f"#weights-{weights}" in links(action["result"])
        assert "c0ffee" in graph[links(action["instrument"])[0]]["description"]


def test_a_data_set_has_licence_source_and_its_own_title(graph):
    (data,) = [entity for entity in of_type(graph, "Dataset") if entity["@id"].startswith("data/")]
    assert data["name"] == f"{SPECIAL} at 28 pixels"
    licence = graph[links(data["license"])[0]]
    assert (licence["@id"], licence["name"]) == ("https://spdx.org/licenses/CC-BY-4.0", "CC BY 4.0")
    assert (data["url"], data["identifier"]) == ("https://x.org/a", "https://doi.org/10.1/2")
