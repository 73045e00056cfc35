"""Install what the tests need beyond Python, from Debian's packages.

MariaDB's server, Chromium, and what two of the drivers are compiled with. A PostgreSQL server
comes as a wheel; the one of the system is of another version, and speaks TLS. Where apt-get, or
the right to use it, is missing, this says what to install by hand; the tests then say what they
left out, and fail in CI.
"""

import os
import shutil
import subprocess
from pathlib import Path

# The package, and the programs of which one must be there.
NEEDED = {
    "mariadb-server": ["mariadbd"],
    "postgresql": ["postgres"],
    "chromium": ["chromium", "google-chrome"],
    "libpq-dev": ["pg_config"],
    "default-libmysqlclient-dev": ["mysql_config"],
    "pkg-config": ["pkg-config"],
    "gcc": ["gcc"],
}
# Where Debian keeps servers, beside everybody's PATH.
SERVERS = ["/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]


def main() -> None:
    """Install the packages whose programs are missing."""
    path = os.pathsep.join([os.environ["PATH"], *SERVERS])
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
