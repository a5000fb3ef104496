"""Faults of one machine: signals, deaths, disks, and two of what there should be one of."""

import os
import signal
import subprocess

from faults.scene import Scene


def _cut_off(scene: Scene, number: int, who: int) -> None:
    head = scene.start_to_second_run()
    os.kill(scene.packs()[who], number)
    scene.resume(head)


def sigterm(scene: Scene) -> None:
    """SIGTERM to the pack while its second run trains."""
    _cut_off(scene, signal.SIGTERM, 0)


def sigusr1(scene: Scene) -> None:
    """SIGUSR1 to the pack while its second run trains."""
    _cut_off(scene, signal.SIGUSR1, 0)


def run_killed(scene: Scene) -> None:
    """SIGKILL to the process of one run."""
    _cut_off(scene, signal.SIGKILL, -1)


def pack_killed(scene: Scene) -> None:
    """SIGKILL to the pack's watching process; the run that it forked lives on."""
    head = scene.start_to_second_run()
    os.kill(scene.packs()[0], signal.SIGKILL)
    scene.finish(head)


def out_of_memory(scene: Scene) -> None:
    """SIGKILL to one run, as the kernel does it, and again when the run is tried once more."""
    head = scene.start_to_second_run()
    killed = scene.packs()[-1]
    os.kill(killed, signal.SIGKILL)
    scene.until(lambda: len(scene.packs()) == 2 and scene.packs()[-1] != killed)
    os.kill(scene.packs()[-1], signal.SIGKILL)
    scene.resume(head)


def before_first_state(scene: Scene) -> None:
    """SIGKILL to a run that has just begun."""
    head = scene.start()
    scene.until(lambda: len(scene.packs()) == 2)
    os.kill(scene.packs()[-1], signal.SIGKILL)
    scene.finish(head)


def power_cut(scene: Scene) -> None:
    """SIGKILL to all at once: Snakemake, the pack, its run."""
    head = scene.start_to_second_run()
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()
    scene.resume()
    assert "its locks are removed" in scene.said()


def head_killed(scene: Scene) -> None:
    """SIGKILL to Snakemake alone; a new one starts while the old one's pack still trains."""
    head = scene.start()
    scene.until_training()
    os.kill(head.pid, signal.SIGKILL)
    head.wait()
    assert scene.packs(), "the pack should outlive its head"
    scene.finish_once()


def two_heads(scene: Scene) -> None:
    """A second Snakemake beside the first: refused, and with --nolock not in its way."""
    head = scene.start()
    scene.until_training()
    scene.finish(None, code=1)
    assert "cannot be locked" in scene.said()
    second = scene.start("--nolock")
    scene.finish(head)
    scene.finish_once(second)


def disk_full(scene: Scene) -> None:
    """No space is left where states are written; there is some when Snakemake starts again."""
    disk = Disk(scene, "64m")
    head = scene.start_to_second_run()
    disk.fill()
    scene.finish(head, code=1)
    assert "No space left" in scene.said() and "Traceback" not in scene.said(), scene.said()
    disk.empty()
    scene.resume()


def read_only(scene: Scene) -> None:
    """The results become read-only while a run trains, and writable before Snakemake starts again."""
    disk = Disk(scene, "256m")
    head = scene.start_to_second_run()
    disk.remount("ro")
    scene.finish(head, code=1)
    assert "Read-only file system" in scene.said() and "Traceback" not in scene.said(), scene.said()
    disk.remount("rw")
    scene.resume()


#: an `exec` for Snakemake's shells: what the command writes for the workflow comes into sight later
LATE = """
exec() {
    command "$@"; local code=$? hidden
    for name in results/packed results/runs; do
        [ -d "$name" ] || continue
        echo "$name" >> hidden.log
        hidden=$(mktemp -u "late.XXXXXX"); mv "$name" "$hidden"
        ( sleep 1; mkdir -p "$name"; cp -al "$hidden/." "$name"; rm -rf "$hidden" ) >/dev/null 2>&1 </dev/null &
    done
    exit $code
}
"""


def late_files(scene: Scene) -> None:
    """A network file system that shows new files a second late (simulated by hiding them)."""
    (scene.folder / "late.sh").write_text(LATE)
    scene.environment["BASH_ENV"] = str(scene.folder / "late.sh")
    scene.arguments += ["--latency-wait", "20"]
    scene.finish()
    assert {*(scene.folder / "hidden.log").read_text().split()} == {"results/packed", "results/runs"}
    assert "Waiting at most 20 seconds for missing files" in scene.said(), scene.said()


class Disk:
    """A small file system of its own under the scene's store, until the scene is closed."""

    def __init__(self, scene: Scene, size: str) -> None:
        self.store = scene.folder / "results" / "store"
        self.store.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tokenmix", self.store], check=True)
        scene.at_end.append(["umount", "--lazy", str(self.store)])

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.store / "ballast").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    def empty(self) -> None:
        """Take the ballast away."""
        (self.store / "ballast").unlink()

    def remount(self, mode: str) -> None:
        """Make it read-only or writable, as soon as nobody is in the middle of writing."""
        while subprocess.run(["mount", "-o", f"remount,{mode}", self.store], capture_output=True).returncode:
            pass


FAULTS = (
    sigterm,
    sigusr1,
    run_killed,
    pack_killed,
    out_of_memory,
    before_first_state,
    power_cut,
    head_killed,
    two_heads,
    disk_full,
    read_only,
    late_files,
)
