"""Install what the tests need beyond Python: MariaDB's server and Chromium, from Debian's packages.

PostgreSQL's server comes as a wheel. Where apt-get, or the right to use it, is missing, this
says what to install by hand; the tests then say what they left out, and fail in CI.
"""

import os
import shutil
import subprocess

# The package, and the programs of which one must be there.
NEEDED = {"mariadb-server": ["mariadbd"], "chromium": ["chromium", "google-chrome"]}


def main() -> None:
    """Install the packages whose programs are missing."""
    # Debian keeps servers in a folder that is not on everybody's PATH.
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    packages = [
        package
        for package, programs in NEEDED.items()
        if not any(shutil.which(program, path=path) for program in programs)
    ]
    if not packages:
        return
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if not shutil.which("apt-get") or (root and not shutil.which(root[0])):
        print(f"NOT INSTALLED: {', '.join(packages)}. Install them, or some tests cannot run.")
        return
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run([*root, "apt-get", "-qq", *arguments], env=environ, check=False)


if __name__ == "__main__":
    main()
