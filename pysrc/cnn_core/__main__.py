"""``python -m cnn_core``: the command line."""

from cnn_core.cli import main

raise SystemExit(main())
