"""tokenmix: a paper about token mixers in MetaFormer that rebuilds itself."""

__version__ = "0.1.0"
