"""Write .env and run the project's own bin/setup; never destroy the project.

cookiecutter renders this file, then runs it with its own interpreter in the project's folder,
and deletes the project if it exits non-zero: it exits 0 whatever happens.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

SETUP_VARIABLE = "FLASK_MIGRATE_TEMPLATE_SETUP"


def main() -> None:
    """Set the project up as far as the answers and the environment say."""
    project = Path.cwd()
    override = os.environ.get(SETUP_VARIABLE, "").lower()
    if override == "no":
        return  # a tool that renders again wants the template's files, and nothing else
    setup = runpy.run_path(str(project / "bin" / "setup"))
    wanted = bool(ANSWERS["setup"]) or override == "yes"
    status = setup["main"](None if wanted else setup["STEPS"][:1])
    if status != 0:
        print(f"\nThe project stays in {project}")
    elif not wanted:
        print(f"\nThe project is in {project}; nothing is installed yet. To go on:")
        print(f"  {setup['resume']()}")


if __name__ == "__main__":
    # A terminal's encoding may lack a character of the folder's name.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main()
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - no fault may cost the project
        traceback.print_exc()
        print(f"The project stays in {Path.cwd()}")
