"""Names in docstrings: a link where the site has a page for it, code where it has none.

A name that begins with ``cnn_core.`` has to be one that can be imported.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

_FROM_SCIKIT_LEARN = re.compile(r"set_\w+_request|get_metadata_routing|_.*")


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("missing-reference", _as_code)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}


def _as_code(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Return the text of a name that has no page; None, which is a warning, if there is none."""
    if node.get("reftype") != "obj":
        return None
    name = node["reftarget"].partition("(")[0]
    return content if not name.startswith("cnn_core.") or _is_there(name) else None


def _is_there(name: str) -> bool:
    """Tell whether a module, or a name within one, can be imported."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        return _has(found, parts[length:])
    return False


def _has(found: Any, names: list[str]) -> bool:
    for name in names:
        fields = getattr(found, "__dataclass_fields__", {})
        if name in fields or name in getattr(found, "__annotations__", {}):
            return True
        # Attributes that are set when an object is made stand in the docstring of its class.
        if not hasattr(found, name):
            return re.search(rf"^ *{name}\b", found.__doc__ or "", re.MULTILINE) is not None
        found = getattr(found, name)
    return True


def _skip(app: Any, kind: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn adds to each class."""
    return True if _FROM_SCIKIT_LEARN.fullmatch(name) else None
