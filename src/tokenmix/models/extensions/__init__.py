"""Extensions of a MetaFormer, one file each, named as in the model grammar.

Each has `extend(model)`, which changes a model that was built without it: everything that the two have in
common starts from the same weights.
"""
