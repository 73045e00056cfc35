"""The order of the operations of a revision, and those that others make needless."""

from collections.abc import Iterable
from typing import Any

from alembic.operations import ops


def ordered(found: list[Any]) -> list[Any]:
    """Return operations in an order that every DBMS takes.

    A foreign key goes before the index that it needs, and comes after it; tables go last, those
    that refer to others before these. Alembic leaves it to chance.
    """
    for operation in found:
        if isinstance(operation, ops.ModifyTableOps):
            operation.ops.sort(key=_rank)
    drops = [each for each in found if isinstance(each, ops.DropTableOp)]
    return [each for each in found if each not in drops] + _children_first(drops)


def needed(found: Iterable[Any]) -> list[Any]:
    """Return operations without the indexes that go with their tables in any case.

    MySQL refuses to drop one that a foreign key needs.
    """
    kept = list(found)
    for drop in [each for each in kept if isinstance(each, ops.DropTableOp)]:
        for each in kept[: kept.index(drop)]:
            if isinstance(each, ops.ModifyTableOps) and _of(each) == _of(drop):
                each.ops[:] = [part for part in each.ops if not isinstance(part, ops.DropIndexOp)]
            elif isinstance(each, ops.DropIndexOp) and (each.schema, each.table_name) == _of(drop):
                kept.remove(each)
    return [each for each in kept if not isinstance(each, ops.ModifyTableOps) or each.ops]


def _rank(part: Any) -> int:
    if isinstance(part, ops.DropConstraintOp) and part.constraint_type == "foreignkey":
        return 0
    return 2 if isinstance(part, ops.CreateForeignKeyOp) else 1


def _of(operation: Any) -> tuple[str | None, str]:
    return operation.schema, operation.table_name


def _children_first(drops: list[ops.DropTableOp]) -> list[ops.DropTableOp]:
    """Return drops so that no table is referred to when it goes, but in a circle."""
    left = {_of(drop): drop for drop in drops}
    needs = {
        key: {
            tuple(fk.target_fullname.rsplit(".", 1)[0].rpartition(".")[::2])
            for fk in drop.to_table().foreign_keys
        }
        for key, drop in left.items()
    }
    sorted_drops = []
    while left:
        free = [
            key
            for key in left
            if not any((key[0] or "", key[1]) in needs[other] for other in left if other != key)
        ]
        key = min(free or left, key=str)
        sorted_drops.append(left.pop(key))
    return sorted_drops
