"""Parameters and multiply-adds as values of the paper."""

from tokenmix.reporting import formats
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.sizes import added, parameter_counts
from tokenmix.reporting.tex import key


def add_profile(registry: Registry, study: Study) -> None:
    """Add params/MODEL/DATASET, added_params/MODEL/DATASET, macs/MODEL/DATASET and macs/MODEL/IMAGESIZE."""
    counts = parameter_counts(study)
    for row in study.profile("models"):
        at, line = key(row["model"], row["dataset"]), "profile:" + key(row["model"])
        parameters, macs = int(float(row["parameters"])), int(float(row["macs"]))
        how = "trainable parameters with the data set's head"
        registry.add(f"params/{at}", Value(parameters, formats.quantity(parameters), line, how, "profile"))
        if (extra := added(counts, row["model"], row["dataset"])) is not None:
            how = "trainable parameters beyond those of the same model without extensions"
            registry.add(f"added_params/{at}", Value(extra, formats.difference(extra), line, how, "profile"))
        how = "multiply-adds of one forward pass of one image"
        registry.add(f"macs/{at}", Value(macs, formats.quantity(macs), line, how, "profile", unit="MAC"))
    for row in study.profile("sizes"):
        macs = int(float(row["macs"]))
        line = "sizes:" + key(row["model"])
        how = "multiply-adds of one forward pass of one image of this edge"
        registry.add(
            key("macs", row["model"], row["image_size"]),
            Value(macs, formats.quantity(macs), line, how, "profile", unit="MAC"),
        )
