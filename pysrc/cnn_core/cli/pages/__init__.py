"""The report of a run as an HTML page, complete or live during training.

`contents` defines the contents of a page; `classes`, `numbers`, `weights` and `importance` compute
them; `charts` and `pictures` draw them; `rendering` writes a self-contained file.
"""
