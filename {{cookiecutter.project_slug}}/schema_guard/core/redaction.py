"""What no output shows: the password of a URL, wherever it is in it.

Promise: a URL is printed by `shown` and by nothing else, and no message of the guards holds a
secret that was given to a driver, though the driver quotes it. Of a URL's options those are shown
that are known to be no secret, so that one which nobody knew of here is not.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Engine, event

HIDDEN = "***"
# What is replaced within words too; something shorter would be found in every other word.
LONG = 6
# An option with such a name is secret however short its value is; another one if it is long.
TELLING = re.compile("key|pass|pwd|secret|token", re.IGNORECASE)
# Names of a driver's arguments that others see anyway.
NAMES = {"database", "dbname", "db", "host", "port", "user"}
# The options of URLs that hold no secret: psycopg, psycopg2, PyMySQL, mysqlclient, sqlite3.
PUBLIC = NAMES | {
    *("application_name", "cache", "channel_binding", "charset", "client_encoding", "collation"),
    *("compress", "connect_timeout", "fallback_application_name", "gssencmode", "hostaddr"),
    *("immutable", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval"),
    *("krbsrvname", "load_balance_hosts", "local_infile", "mode", "passfile", "plugin_name"),
    *("read_default_file", "read_default_group", "read_timeout", "require_auth", "service"),
    *("servicefile", "ssl_ca", "ssl_capath", "ssl_cert", "ssl_check_hostname", "ssl_cipher"),
    *("ssl_disabled", "ssl_key", "ssl_mode", "ssl_verify_cert", "ssl_verify_identity", "sslcert"),
    *("sslcrl", "sslkey", "sslmode", "sslnegotiation", "sslrootcert", "target_session_attrs"),
    *("tcp_user_timeout", "timeout", "unix_socket", "uri", "use_unicode", "write_timeout"),
}

_secrets: set[str] = set()


def shown(url: URL) -> str:
    """Return a URL as it may be read by others; the only way to print one."""
    query = {name: value if name in PUBLIC else HIDDEN for name, value in url.query.items()}
    return url.set(query=query).render_as_string().replace(quote_plus(HIDDEN), HIDDEN)


def scrub(text: str) -> str:
    """Return a text without the secrets that drivers were given."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in text:  # most texts hold none
            found = re.escape(secret)
            text = re.sub(found if len(secret) >= LONG else rf"(?<!\w){found}(?!\w)", HIDDEN, text)
    return text


@event.listens_for(Engine, "do_connect", insert=True)  # a listener that connects ends the row
def _remember(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    """Remember what is secret of the arguments that a driver is given."""
    known = {str(parameters.get(name)) for name in NAMES}
    for name, value in parameters.items():
        least = 1 if TELLING.search(name) else LONG
        for text in _texts(value) if name not in PUBLIC else ():
            if len(text) >= least:
                _secrets.update(_forms(text) - known)


def _texts(value: Any) -> Iterable[str]:
    """Return the texts that an argument holds."""
    if isinstance(value, bytes):
        return [value.decode(errors="replace")]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) and value else []


def _forms(secret: str) -> set[str]:
    """Return how a secret may be written: as it is, or quoted for a URL, SQL, Python or libpq."""
    slashes = secret.replace("\\", "\\\\")
    return {
        *(secret, quote(secret), quote(secret, safe=""), quote(secret, safe=" +")),
        *(quote_plus(secret), secret.replace("'", "''"), slashes, slashes.replace("'", "\\'")),
        *(repr(secret)[1:-1], repr(secret.encode())[2:-1], " ".join(secret.split())),
    }
