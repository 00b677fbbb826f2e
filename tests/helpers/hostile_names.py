"""Names of classes and columns that a page must show as they are, and read as nothing else."""

from __future__ import annotations

NAMES = (
    "<script>alert(1)</script>",
    '"><img src=http://example.invalid/x.png onerror=alert(2)>',
    "' onmouseover='alert(3)",
    "</style></title><b>bold",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;escaped&gt;",
    "\u202egnp.exe\n\x1b[31m",
    "x" * 300,
)
