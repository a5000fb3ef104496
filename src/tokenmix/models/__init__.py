"""The models of the paper: MetaFormer with exchangeable token mixers, and its baselines."""
