"""Which servers revisions are judged for: their product, and the oldest version of each."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Dialect

from schema_guard.core.errors import GuardError
from schema_guard.dialects.base import SUPPORTED, backend, dotted

WORDS = re.compile(r"(?:(?P<product>[A-Za-z]+)[ -]?)?(?P<numbers>\d+(?:\.\d+)*)")
PRODUCTS = {"postgresql": ("PostgreSQL",), "mysql": ("MySQL", "MariaDB"), "sqlite": ("SQLite",)}
# MySQL counts 5.7, 8, 9; MariaDB goes on from 10.
FIRST_OF_MARIADB = (10,)


class Server(NamedTuple):
    """A product and its version."""

    product: str
    version: tuple[int, ...]


def judged_for(dialect: Dialect, words: str | None) -> tuple[Server, ...]:
    """Return the servers that revisions are judged for.

    Args:
        dialect: of the DBMS. That of MySQL is MariaDB's too: without a version, for both.
        words: the oldest version that is in use, as in `16` or `MariaDB 10.11`; None for the
            oldest ones that are supported.

    Raises:
        GuardError: it is no version, one of another DBMS, or too old.
    """
    products = PRODUCTS.get(backend(dialect), ())
    if dialect.name == "mariadb":
        products = ("MariaDB",)
    if words is None:
        return tuple(Server(each, SUPPORTED.get(each, ())) for each in products)
    found = WORDS.fullmatch(words.strip())
    if found is None:
        raise GuardError(f'{words!r} is no version of a server; it reads "16" or "MariaDB 10.11".')
    version = tuple(map(int, found["numbers"].split(".")))
    named = {each.lower(): each for each in products}
    product = named.get((found["product"] or _product(products, version)).lower())
    if product is None:
        raise GuardError(
            f"{words!r} is a version of another DBMS than {' or '.join(products)}. Correct"
            " server-version in pyproject.toml, or give --server-version."
        )
    oldest = SUPPORTED.get(product, ())
    if version < oldest[: len(version)]:
        raise GuardError(f"{words!r} is too old: the migrations need {product} {dotted(oldest)}.")
    return (Server(product, version),)


def _product(products: tuple[str, ...], version: tuple[int, ...]) -> str:
    """Return which of the products counts so."""
    if len(products) > 1:
        return "MariaDB" if version >= FIRST_OF_MARIADB else "MySQL"
    return products[0] if products else ""


def since(servers: Iterable[Server], **versions: tuple[int, ...]) -> bool:
    """Return whether all servers can do something.

    Args:
        servers: those that are judged for.
        versions: by products, the first one that can; products that are not here cannot.
    """
    return all(
        each.product in versions and each.version >= versions[each.product] for each in servers
    )
