"""The version of this tree: `pyproject.toml` reads it here, and so does everything that shows it.

Between releases it is that of the next one with `.dev0` behind it; CONTRIBUTING.md says how a release is made.
"""

VERSION = "0.4.0.dev0"
