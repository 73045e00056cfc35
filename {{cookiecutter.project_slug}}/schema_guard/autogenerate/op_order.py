"""The order of the operations of a revision, and those that others make needless."""

from collections.abc import Iterable
from typing import Any

from alembic.operations import ops

from schema_guard.online_ddl.rewrite import table_of, with_parts


def ordered(found: Iterable[Any]) -> list[Any]:
    """Return operations in an order that every DBMS takes.

    A foreign key goes before the index that it needs, and comes after it; tables go last, those
    that refer to others before these. Alembic leaves it to chance.
    """
    sorted_parts = [
        with_parts(each, sorted(each.ops, key=_rank))
        if isinstance(each, ops.ModifyTableOps)
        else each
        for each in found
    ]
    drops = [each for each in sorted_parts if isinstance(each, ops.DropTableOp)]
    return [each for each in sorted_parts if each not in drops] + _children_first(drops)


def needed(found: Iterable[Any]) -> list[Any]:
    """Return operations without the indexes that go with their tables in any case.

    MySQL refuses to drop one that a foreign key needs.
    """
    kept = list(found)
    for drop in [each for each in kept if isinstance(each, ops.DropTableOp)]:
        place = kept.index(drop)
        kept = [*_without_indexes(kept[:place], drop), *kept[place:]]
    return [each for each in kept if not isinstance(each, ops.ModifyTableOps) or each.ops]


def _without_indexes(before: list[Any], drop: ops.DropTableOp) -> Iterable[Any]:
    for each in before:
        same = table_of(each) == table_of(drop)
        if same and isinstance(each, ops.ModifyTableOps):
            parts = [part for part in each.ops if not isinstance(part, ops.DropIndexOp)]
            yield with_parts(each, parts)
        elif not (same and isinstance(each, ops.DropIndexOp)):
            yield each


def _rank(part: Any) -> int:
    if isinstance(part, ops.DropConstraintOp) and part.constraint_type == "foreignkey":
        return 0
    return 2 if isinstance(part, ops.CreateForeignKeyOp) else 1


def _children_first(drops: list[ops.DropTableOp]) -> list[ops.DropTableOp]:
    """Return drops so that no table is referred to when it goes, but in a circle."""
    left = {(drop.schema, drop.table_name): drop for drop in drops}
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
