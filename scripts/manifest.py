"""Write schema_guard/MANIFEST, with which a project notices edited files.

make manifest
"""

import sys
from pathlib import Path

(PROJECT,) = Path(__file__).resolve().parent.parent.glob("{{cookiecutter.*")
sys.dont_write_bytecode = True  # it would be baked into projects
sys.path.insert(0, str(PROJECT))

from schema_guard.core import manifest  # noqa: E402 - it lies in the template's folder

manifest.MANIFEST.write_text("\n".join([*manifest.lines(), ""]), encoding="utf-8")
