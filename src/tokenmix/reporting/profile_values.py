"""Parameters and multiply-adds as values of the paper."""

from tokenmix.reporting import formats
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.sizes import added, parameter_counts
from tokenmix.reporting.tex import key


def add_profile(registry: Registry, study: Study) -> None:
    """Add params/MODEL/DATASET, added_params/MODEL/DATASET, macs/MODEL/DATASET and macs/MODEL/IMAGESIZE."""

    def add(at: str, value: int, line: str, how: str, file: str, config: str, unit: str) -> None:
        shown = "difference" if at.startswith("added") else "quantity"
        text, files = getattr(formats, shown)(value), (f"profile/{file}.csv",)
        registry.add(
            at,
            Value(value, text, line, how, "profile", unit=unit, config=study.line(config), format=shown, files=files),
        )

    counts = parameter_counts(study)
    for row in study.profile("models"):
        at, line = key(row["model"], row["dataset"]), "profile:" + key(row["model"])
        how = "trainable parameters with the data set's head"
        add(f"params/{at}", int(float(row["parameters"])), line, how, "models", "tables", "parameters")
        if (extra := added(counts, row["model"], row["dataset"])) is not None:
            how = "trainable parameters beyond those of the same model without extensions"
            add(f"added_params/{at}", extra, line, how, "models", "tables", "parameters")
        how = "multiply-adds of one forward pass of one image"
        add(f"macs/{at}", int(float(row["macs"])), line, how, "models", "tables", "MAC")
    for row in study.profile("sizes"):
        at, line = key("macs", row["model"], row["image_size"]), "sizes:" + key(row["model"])
        how = "multiply-adds of one forward pass of one image of this edge"
        add(at, int(float(row["macs"])), line, how, "sizes", "profile.image_sizes", "MAC")
