"""The command line: one module a noun; parse, call, print; no logic."""

import os

# Where colorama is installed, numba would send terminal codes, wanted or not; it looks at this when it is loaded.
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
