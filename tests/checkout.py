"""A copy of this checkout's files in which tests run the whole pipeline on a study of seconds."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

#: two models on small images of one family of phantoms, one seed, a dozen steps
TINY = """\
title: A study of seconds
seeds: [0]
training: {iterations: 12, batch_size: 64, warmup_epochs: 0, affine_std: 0.06, precision: fp32}
execution: {needs_gpu: false}
claims: {may_fail: true}
datasets:
  phantom_tissue: {size: 16}
paper_tables: [classification_4t]
tables:
  classification_4t:
    datasets: [phantom_tissue]
    scale: xs
    mixers: {pooling: [3], conv: false, sep_conv: false, local_attn: false, full_attn: false, identity: ,
             random: false, random_learned: false}
    baselines: []
profile: {image_sizes: [28, 56]}
"""


class Checkout:
    """A folder with the project's files, its own results, and the study `tiny`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            source = ROOT / name
            if name.split("/")[0] not in ("tests", "benchmarks", "docs") and (source.exists() or source.is_symlink()):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        self.study("tiny", TINY)

    def study(self, name: str, text: str) -> None:
        """Write an overlay."""
        (self.folder / "workflow/studies" / f"{name}.yaml").write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a piece of text that a file must hold."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def command(self, *arguments: str, study: str = "tiny") -> list[str]:
        """A call of Snakemake in this folder."""
        return [str(BIN / "snakemake"), *arguments, "--config", f"study={study}"]

    def snakemake(self, *arguments: str, study: str = "tiny", **options) -> subprocess.CompletedProcess:
        """Run Snakemake to its end; output and errors are one text."""
        return subprocess.run(
            self.command(*arguments, study=study), cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    def planned(self, *arguments: str, study: str = "tiny") -> set[str]:
        """The runs that Snakemake would train now, or only publish where the store holds them."""
        dry = self.snakemake("-n", *arguments, study=study)
        assert dry.returncode == 0, dry.stdout
        return {line.split("Publishing ")[1].strip() for line in dry.stdout.splitlines() if ": Publishing " in line}

    def runs(self) -> list[Path]:
        """The published runs."""
        return sorted((self.folder / "results/runs").glob("*"))
