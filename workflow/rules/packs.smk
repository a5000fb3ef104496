"""What training asks the plan: which runs share a job, and what that job needs."""


def receipt_of_pack(wildcards):
    """What the job leaves that trains, or trained, a run; nothing where a run was finished without a pack."""
    pack = PACKS.get(wildcards.run)
    return [f"{RESULTS}/packed/{pack}.json"] if pack else []


def read_pack(pack):
    """The frozen list of the runs of a pack."""
    return json.loads(Path(f"{RESULTS}/plan/packs/{pack}.json").read_text())


def data_of_pack(wildcards):
    """The prepared data of a pack, and the published weights that its runs start from."""
    runs = [PLAN["runs"][run] for run in read_pack(wildcards.pack)["runs"]]
    cards = {f"{run['data_folder']}/card.json" for run in runs}
    return sorted(cards | {run["weights"] for run in runs if run["weights"]})


def threads_of_pack(wildcards):
    """Cores of a pack: those of its runs, as often as runs may train side by side."""
    pack = read_pack(wildcards.pack)
    return pack["threads"] * pack["at_most"]


def code_of_pack(wildcards, input):
    """The frozen code that starts the runs; a function of the input: packs are not trained again for its sake."""
    return str(Path(json.loads(Path(input.runs).read_text())["code"]).absolute())


def more_memory(wildcards, attempt):
    """MB; runs that were killed for memory get twice as much, then three times."""
    side_by_side = read_pack(wildcards.pack)["at_most"]
    return PLAN["execution"]["memory_mb"] * side_by_side * attempt


def more_time(wildcards, attempt):
    """Minutes; runs that ran out of time resume where they stopped and get more of it."""
    return 720 * attempt


def number_of_attempt(wildcards, attempt):
    """From 1; later attempts pass over the runs whose own code failed in an earlier one."""
    return attempt


def attempts_left(wildcards, attempt):
    """At the last attempt a pack gives up the runs that were killed, for the sake of the others."""
    return PLAN["execution"]["retries"] + 1 - attempt
