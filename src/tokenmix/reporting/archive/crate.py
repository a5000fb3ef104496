"""A finished study as an RO-Crate: the workflow, its parameters, every training with what went in and came out.

Profile: Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5), which builds on Process Run Crate 0.5,
Workflow RO-Crate 1.0 and RO-Crate 1.1. All times are those of the runs, so that the same study gives the same text.
"""

import importlib.metadata
import json
import mimetypes
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from tokenmix.reporting.inputs import Study
from tokenmix.study.yaml_lines import read_yaml

METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
#: terms of the profiles that RO-Crate's own context lacks
TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("sha256", "md5", "environment")}
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
COMPLETED = "http://schema.org/CompletedActionStatus"
#: how SPDX writes its identifiers; other licences stay text
_SPDX = re.compile(r"CC[A-Z0-9 .-]+|[A-Za-z0-9.+-]+")
_TYPES = {".md": "text/markdown", ".npz": "application/zip", ".yaml": "application/yaml", ".tex": "text/x-tex"}


def describe(study: Study, root: Path, checksums: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    """The metadata file of an archive of the study, as JSON-LD.

    root: the project's folder; checksums, sizes: SHA-256 and bytes of the files of the archive by their names in it.
    """
    return _Description(study, root, checksums, sizes).text()


def _single(entities: list[Entity]) -> list[Entity] | Entity:
    """A list of one as its element, as RO-Crate has it."""
    return entities[0] if len(entities) == 1 else entities


class _Description:
    def __init__(self, study: Study, root: Path, checksums: Mapping[str, str], sizes: Mapping[str, int]) -> None:
        self.study, self.checksums, self.sizes = study, checksums, sizes
        self.own = f"results/{study.name}"
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms.update(TERMS)
        self.agent = self._agent(root)
        self._root(root)
        self._file("README.md", "How to use the workflow", about=self.crate.root_dataset)
        self.data = {key: self._dataset(key) for key in study.datasets}
        self.workflow = self._workflow()
        trainings = [self._training(run) for run in study.index["runs"]]
        self.crate.root_dataset["mentions"] = [self._study_action(), *trainings]

    def text(self) -> str:
        return json.dumps(self.crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def _context(self, identifier: str, kind: str, /, **properties: Any) -> Entity:
        """A contextual entity, made once."""
        return self.crate.get(identifier) or self.crate.add(
            ContextEntity(self.crate, identifier, properties={"@type": kind, **properties})
        )

    def _root(self, root: Path) -> None:
        crate, newest = self.crate, self.study.newest
        crate.name = f"{self.study.index['title']} (study {self.study.name})"
        crate.description = (
            "A comparison of token mixers for medical images: every run with predictions and attestation, the values "
            "of the paper that were computed from them, and the workflow that did it."
            + (" The images are computed phantoms: nothing here is a medical result." if self.study.phantoms else "")
        )
        crate.datePublished = str(newest["execution"]["ended"])
        crate.license = self._licence("MIT")
        authors = [str(author["name"]) for author in read_yaml(root / "CITATION.cff", "CITATION.cff").value["authors"]]
        organisations = [
            self._context(f"#author-{number}", "Organization", name=name) for number, name in enumerate(authors, 1)
        ]
        crate.root_dataset["author"] = crate.publisher = _single(organisations)
        crate.root_dataset["conformsTo"] = [
            self._context(url, "CreativeWork", name=name, version=url.rpartition("/")[2])
            for url, name in PROFILES.items()
        ]

    def _agent(self, root: Path) -> Entity | None:
        """Who makes the archive, where git knows the name."""
        try:
            command = ["git", "config", "user.name"]
            name = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            name = ""
        return self._context("#agent", "Person", name=name) if name else None

    def _licence(self, name: str) -> Entity | str:
        if not _SPDX.fullmatch(name):
            return name
        spdx = name.replace(" ", "-")
        return self._context(f"https://spdx.org/licenses/{spdx}", "CreativeWork", name=name, identifier=spdx)

    def _file(self, name: str, title: str, **properties: Any) -> Entity:
        """A file of the archive with its checksum, made once."""
        present = self.crate.get(name)
        if present is not None:
            return present
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "text/plain"
        facts = {"name": title, "encodingFormat": kind, "sha256": self.checksums[name], **properties}
        return self.crate.add_file(dest_path=name, properties={**facts, "contentSize": str(self.sizes[name])})

    def _dataset(self, key: str) -> Entity:
        """A data set: its card is in the archive, its images are where the card's address says."""
        card, folder = self.study.card(key), Path(self.study.datasets[key]["folder"]).name
        source = {name: str(value) for name, value in card["source"].items() if name in ("url", "md5", "sha256")}
        about = self._file(f"data/{folder}/card.json", f"Card of {self.study.title(key)}")
        facts = {
            "name": f"{self.study.title(key)} at {card['size']} pixels",
            "description": f"{card['task']}; cases: {json.dumps(card['n'])}; the archive holds the card alone",
            "license": self._licence(str(card["licence"])),
            "version": self.study.datasets[key]["hash"],
            **source,
            **({"identifier": f"https://doi.org/{card['doi']}"} if card["doi"] else {}),
        }
        dataset = self.crate.add_dataset(dest_path=f"data/{folder}/", properties=facts)
        dataset["hasPart"] = about
        return dataset

    def _workflow(self) -> Entity:
        return self.crate.add_workflow(
            dest_path="Snakefile",
            main=True,
            lang="snakemake",
            lang_version=importlib.metadata.version("snakemake"),
            properties={
                "name": "tokenmix",
                "encodingFormat": "text/plain",
                "sha256": self.checksums["Snakefile"],
                "conformsTo": {"@id": WORKFLOW_PROFILE},
                "version": str(self.study.newest["git"]["commit"] or "of no commit"),
            },
        )

    def _slot(self, name: str, kind: str, examples: list[Entity]) -> Entity:
        """A parameter of the workflow, tied to what was given or made."""
        slot = self.crate.add_formal_parameter(name, kind, identifier=f"#slot-{name}", valueRequired=True)
        slot["workExample"] = _single(examples)
        for example in examples:
            example["exampleOfWork"] = slot
        return slot

    def _value(self, name: str, value: object) -> Entity:
        """A setting, shared by all that use it."""
        text = str(value)
        identifier = f"#{name}-" + re.sub(r"[^A-Za-z0-9._-]", lambda sign: f"%{ord(sign[0]):02X}", text)
        return self._context(identifier, "PropertyValue", name=name, value=text)

    def _study_action(self) -> Entity:
        """The whole study: config and images in, the paper and its values out."""
        index, name = self.study.index, self.study.name
        plan = self._file(f"results/plan/{self.study.path.name}", "The frozen study: every run with its settings")
        given = {"study": [self._value("study", name)], "config": [self._file("config.yaml", "Settings of the study")]}
        overlay = f"workflow/studies/{name}.yaml"
        if overlay in self.checksums:
            given["overlay"] = [self._file(overlay, "What this study sets otherwise")]
        given["data"] = list(self.data.values())
        made = {
            "paper": [self._file(f"{self.own}/paper.pdf", index["title"])],
            "values": [self._file(f"{self.own}/paper/values.json", "Every number of the paper and what it rests on")],
            "metrics": [
                self._file(file, f"{Path(file).name} ({Path(file).parent.name})")
                for file in self.checksums
                if file.startswith(f"{self.own}/metrics/")
            ],
        }
        kinds = {"study": "Text", "data": "Dataset"}
        self.workflow["input"] = [self._slot(key, kinds.get(key, "File"), entities) for key, entities in given.items()]
        self.workflow["output"] = [self._slot(key, "File", entities) for key, entities in made.items()]
        runs = [record["execution"] for record in self.study.runs.values()]
        return self._action(
            "#study",
            f"Study {name}",
            f"{len(runs)} runs, their evaluation, and the paper",
            self.workflow,
            [*(entity for entities in given.values() for entity in entities), plan],
            [entity for entities in made.values() for entity in entities],
            str(min(run["started"] for run in runs)),
            str(self.study.newest["execution"]["ended"]),
        )

    def _training(self, run: str) -> Entity:
        """One run: frozen code, settings and images in; predictions, history, attestation and weights out."""
        entry, record = self.study.index["runs"][run], self.study.run(run)
        folder, execution = f"results/runs/{run}", record["execution"]
        given = [
            self._file(f"results/plan/{run}.json", f"Settings of {run}"),
            self.data[f"{entry['dataset']}-{entry['size']}"],
            *(self._value(name, entry[name]) for name in ("model", "init", "seed")),
        ]
        sha = record["outputs"]["model.safetensors"]
        made = [
            self._file(f"{folder}/predictions.npz", "Scores and labels of every case"),
            self._file(f"{folder}/history.csv", "Learning curve"),
            self._file(f"{folder}/run.json", "Attestation"),
            self._context(f"#weights-{sha}", "CreativeWork", name="Weights, which are not archived", sha256=sha),
        ]
        where = {"device": execution["device"], **record["libraries"]}
        return self._action(
            f"#run-{run}",
            f"Training {run}",
            f"Training of {entry['model']} on {entry['dataset']} from {entry['init']}, seed {entry['seed']}: "
            f"{record['status']}",
            self._code(Path(entry["code_folder"]).name, record),
            given,
            made,
            str(execution["started"]),
            str(execution["ended"]),
            environment=[self._value(name, value) for name, value in where.items()],
        )

    def _code(self, folder: str, record: Mapping[str, Any]) -> Entity:
        """The code that a run can reach, as it was frozen."""
        name, commit = f"results/code/{folder}/", record["git"]["commit"]
        return self.crate.get(name) or self.crate.add_dataset(
            dest_path=name,
            properties={
                "@type": ["Dataset", "SoftwareSourceCode"],
                "name": f"Training code {folder}",
                "description": f"frozen from {f'commit {commit}' if commit else 'a folder without a commit'}"
                + (", which was edited since" if record["git"]["dirty"] else ""),
                "version": record["hashes"]["code"],
            },
        )

    def _action(
        self,
        identifier: str,
        name: str,
        description: str,
        instrument: Entity,
        given: list[Entity],
        made: list[Entity],
        started: str,
        ended: str,
        **more: Any,
    ) -> Entity:
        times = {"startTime": started, "endTime": ended, "actionStatus": COMPLETED}
        action = self.crate.add_action(
            instrument, identifier, given, made, {"@type": "CreateAction", "name": name, "description": description}
        )
        for key, value in {**times, **more, **({"agent": self.agent} if self.agent else {})}.items():
            action[key] = value
        return action
