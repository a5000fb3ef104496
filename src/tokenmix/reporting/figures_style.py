"""One look for all figures: sized to the text, readable in grey, the same bytes at every build."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenmix.files import write_atomic
from tokenmix.reporting.names import model_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: width of the text in inches (A4 less two margins of 23 mm)
TEXT_WIDTH = 6.45
#: colours that keep distinct greys when printed (dark to light), with a marker and a line for each mixer, and for
#: extensions beside the plain mixer
_LOOKS: dict[str, tuple[str, str, str]] = {
    "pooling": ("#0b3c5d", "o", "-"),
    "conv": ("#b3431f", "s", "-"),
    "sep_conv": ("#e08e2b", "D", "--"),
    "local_attn": ("#23763c", "^", "-"),
    "full_attn": ("#7b3f98", "v", "-."),
    "identity": ("#555555", "x", ":"),
    "random": ("#8c8c8c", "+", ":"),
    "random_learned": ("#b08ea2", "*", "--"),
    "resnet18": ("#111111", "P", "--"),
    "slopes": ("#0b3c5d", "o", "--"),
    "cls": ("#e08e2b", "D", "-."),
    "register": ("#8c8c8c", "s", ":"),
    "bilinear": ("#0b3c5d", "o", "--"),
    "coordmlp": ("#e08e2b", "D", "-."),
    "bilinear+coordmlp": ("#8c8c8c", "s", ":"),
}
_SPARE = ("#2a9d8f", "#d1495b", "#6d6875", "#bc6c25", "#457b9d")
_SPARE_MARKERS = "<>hpdX"

#: of the PNG
_DPI = 150
_SETTINGS: Any = {
    "font.family": "sans-serif", "font.size": 8, "axes.titlesize": 8.5, "axes.labelsize": 8,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.grid": True,
    "grid.color": "0.9", "grid.linewidth": 0.5, "axes.axisbelow": True, "lines.linewidth": 1.1,
    "lines.markersize": 4, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.minor.visible": False,
    "pdf.fonttype": 42, "savefig.dpi": _DPI, "figure.constrained_layout.use": True, "text.usetex": False,
}  # fmt: skip


def start() -> Any:
    """Import matplotlib without a display, with the style set; returns `matplotlib.figure.Figure`."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_SETTINGS)
    from matplotlib.figure import Figure

    return Figure


def look(model_or_mixer: str) -> dict[str, Any]:
    """Colour, marker and line style of a mixer, or of a model by its mixer; unknown mixers get spare ones."""
    mixer = model_name(model_or_mixer).mixer
    if mixer in _LOOKS:
        colour, marker, line = _LOOKS[mixer]
    else:
        number = sum(mixer.encode())
        colour, marker, line = (
            _SPARE[number % len(_SPARE)],
            _SPARE_MARKERS[number % len(_SPARE_MARKERS)],
            "--",
        )
    style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line}
    if mixer == "pooling":
        # costs exactly what depthwise convolution does: an open ring shows around its diamond
        style |= {"markerfacecolor": "none", "markersize": 6}
    return style


def look_of_row(model: str, init: str) -> dict[str, Any]:
    """The same where rows of one mixer stand side by side: extensions have their own look, cold starts are dotted."""
    extended = "+".join(model_name(model).extensions)
    return look(extended or model) | ({"linestyle": ":"} if init == "cold" else {})


def grid(panels: int, height: float, *, columns: int = 3, share_y: bool = False) -> tuple[Any, list[Any]]:
    """A figure with up to `columns` panels a row, each `height` inches high, and its axes; spare places stay empty."""
    columns = min(panels, columns)
    rows = -(-panels // columns)
    figure = start()(figsize=(TEXT_WIDTH, height * rows + 0.45))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y).ravel().tolist()
    for axis in axes[panels:]:
        axis.set_axis_off()
    return figure, axes


def legend_below(figure: "Figure", handles: Mapping[str, Any]) -> None:
    """A legend by label below all panels, in as many columns as the longest label leaves room for."""
    longest = max(map(len, handles), default=0)
    columns = max(1, min(5, len(handles), int(TEXT_WIDTH / (0.4 + 0.053 * longest))))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)


def nothing(reason: str) -> "Figure":
    """A figure that says why there is nothing to draw, in its label as well; the paper shows the words alone."""
    figure = start()(figsize=(TEXT_WIDTH, 0.6))
    figure.set_label(reason)
    axis = figure.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, reason, ha="center", va="center")
    return figure


def plain_log_axis(axis: Any) -> None:
    """A logarithmic y axis with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter("{x:g}")


def panel_title(text: str, limit: int = 26) -> str:
    """A name as the title of a panel: cut where it would run into the next one, `$` taken as a plain sign."""
    short = text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    return short.replace("$", r"\$")


def save(figures: "Sequence[Figure]", path: Path) -> None:
    """Write `<path>.pdf`, a page a figure, and `<path>.png` with all below each other.

    Without dates or versions, so that equal data give equal bytes.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    content = io.BytesIO()
    with PdfPages(content, metadata={"CreationDate": None, "Creator": None, "Producer": None}) as pages:
        for figure in figures:
            pages.savefig(figure)
    write_atomic(path.with_name(path.name + ".pdf"), content.getvalue())
    write_atomic(path.with_name(path.name + ".png"), _stacked(figures))


def _stacked(figures: "Sequence[Figure]") -> bytes:
    from PIL import Image

    pictures = []
    for figure in figures:
        content = io.BytesIO()
        figure.savefig(content, format="png")
        pictures.append(Image.open(content).convert("RGB"))
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    content = io.BytesIO()
    whole.save(content, format="png", dpi=(_DPI, _DPI))
    return content.getvalue()
