"""Text and keys for LaTeX: what people name their data sets and mixers must not break the paper."""

import unicodedata

#: characters with a meaning in TeX, and typographic signs the registry's texts use
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&",
    "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "±": r"\ensuremath{\pm}", "×": r"\ensuremath{\times}", "−": r"\ensuremath{-}", "·": r"\ensuremath{\cdot}",
    "–": "--", "—": "---", "…": r"\dots{}", "\u00a0": "~", "\u202f": r"\,", "\u2009": r"\,", "\u00ad": "",
    "≥": r"\ensuremath{\geq}", "≤": r"\ensuremath{\leq}", "≈": r"\ensuremath{\approx}", "µ": r"\textmu{}",
    "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", "’": "'", "‘": "`", "“": "``", "”": "''",
}  # fmt: skip
#: letters that fonts join into another sign when they stand side by side
_LIGATURES = frozenset("-,'!?")
_KEY = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")


def escape(text: str) -> str:
    """`text` as LaTeX that prints it: specials escaped, no ligatures, foreign scripts as [U+XXXX].

    pdfLaTeX with T1 fonts prints Latin letters; a character it cannot print is shown by its code point
    rather than dropped. Control characters and line ends become spaces.
    """
    out: list[str] = []
    previous = ""
    for char in unicodedata.normalize("NFC", text):
        if char in _SPECIAL:
            out.append(_SPECIAL[char])
        elif char in _LIGATURES:
            out.append(("{}" if previous in _LIGATURES else "") + char)
        elif " " <= char <= "~" or "\u00a1" <= char <= "\u00ff":
            out.append(char)
        elif unicodedata.category(char) in ("Cc", "Zs", "Zl", "Zp"):
            out.append(" ")
        else:
            plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
            out.append(escape(plain) if plain.isalnum() else f"[U+{ord(char):04X}]")
        previous = char
    return "".join(out)


def key_part(text: str) -> str:
    """`text` as one part of a value's key: letters, digits and ._+- stay, others become =XX (UTF-8 in hex).

    So two names never share a key, and a key never holds a character that TeX or a file name would misread.
    """
    return "".join(c if c in _KEY else "".join(f"={b:02X}" for b in c.encode("utf-8", "surrogatepass")) for c in text)


def key(*parts: str) -> str:
    """The key of a value from its parts, for example auc/breastmnist-28/xs-tttt-conv3/scratch."""
    return "/".join(key_part(part) for part in parts)


def breakable(name: str) -> str:
    """A long identifier, escaped, that may break after each of / . _ - = without a hyphen."""
    out = []
    for char in name:
        out.append(escape(char) + (r"\tmxbreak{}" if char in "/._-=+" else ""))
    return "".join(out)
