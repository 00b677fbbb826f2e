"""The pages that a browser shows: the report of a run, complete or while it is trained.

`contents` says what a page tells; `classes`, `numbers`, `weights` and `importance` compute it;
`charts` and `pictures` draw it; `rendering` writes it as one file that needs no network.
"""
