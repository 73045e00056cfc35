"""Which revisions are judged, and what is allowed in them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Dialect

from schema_guard import compat
from schema_guard.core.errors import GuardError, cause
from schema_guard.core.settings import Settings, read_settings
from schema_guard.dialects.server_version import judged_for
from schema_guard.lint.context import Finding, RuleContext
from schema_guard.lint.registry import Policy, meta_rule
from schema_guard.lint.rules import RULES, find, policy
from schema_guard.lint.rules.downgrades import check_downgrade
from schema_guard.lint.rules.loops import check_loops
from schema_guard.online_ddl.render import RENDERINGS
from schema_guard.operations.in_place import IMPLS
from schema_guard.revisions.heads import shared
from schema_guard.revisions.suppressions import allowances, beside, says_loss, source_of
from schema_guard.runner.recorder import record

NOT_READ = meta_rule(
    "not-read", "It raised an error here while it was recorded: what comes after is not checked."
)
NO_REASON = meta_rule(
    "allow-without-reason", "Its form is `allow RULE -- reason`; it allows nothing."
)
UNUSED = meta_rule(
    "unused-allow", "It allows nothing that is done here, and would hide it one day."
)
# Of which `flask db migrate` asks, and says above them what they lose.
DROPS = {"drop-column", "drop-table"}


@dataclass
class Judged:
    """What was found.

    Attributes:
        settings: the project's.
        policy: the rules that were kept.
        revisions: that were judged.
        findings: by the path of the revision's file.
    """

    settings: Settings
    policy: Policy
    revisions: list[str] = field(default_factory=list)
    findings: list[tuple[Path, Finding]] = field(default_factory=list)


def lint(
    scripts: ScriptDirectory, dialect: Dialect, asked: str | None, version: str | None = None
) -> Judged:
    """Judge revisions.

    Args:
        scripts: the revisions of the code.
        dialect: of the DBMS that they are judged for.
        asked: a revision, or a range as `flask db history -r` takes it; by default all that git's
            main branch has not (without git, all).
        version: of the oldest server that they run on; by default the oldest that is supported.

    Raises:
        GuardError: there is no such revision, or no such server.
    """
    servers = judged_for(dialect, version)
    settings = read_settings(Path(scripts.dir))
    context = RuleContext(dialect, servers=servers)
    judged = Judged(settings, policy(settings, context.backend))
    with compat.installed(renderings=RENDERINGS, impls=IMPLS):
        _check(scripts, context, asked, judged)
    return judged


def _check(
    scripts: ScriptDirectory, context: RuleContext, asked: str | None, judged: Judged
) -> None:
    new = _not_shared(scripts)
    chosen = _chosen(scripts, asked, new)
    names = current_app.extensions["migrate"].db.metadata
    for script in reversed(list(scripts.walk_revisions())):
        up = record(script, "upgrade", scripts, context.dialect, names)
        # What reaches production together is not in use in between.
        is_new = new is not None and script.revision in new
        context = replace(
            context,
            operations=up.operations,
            revision=script.revision,
            made=context.made if is_new else set(),
            views=context.views if is_new else set(),
            added=context.added if new is not None or asked is not None else set(),
        )
        if script.revision not in chosen:
            for recorded in up.operations:
                if is_new:
                    context.note_new(recorded)
                context.schema.apply(recorded, script.revision)
            continue
        before = context.schema.names()
        found = [*find(context, judged.policy), *check_loops(script, context.backend)]
        if up.raised is not None:
            why = f"{RULES[NOT_READ].danger} ({cause(up.raised)})"
            recipe = "# read what follows yourself; here no query finds anything"
            found.append(Finding(NOT_READ, why, script.revision, recipe, up.line))
        down = record(script, "downgrade", scripts, context.dialect, names)
        found += check_downgrade(script, up.operations, down, before, context)
        judged.revisions.append(script.revision)
        path = Path(script.path)
        kept = [each for each in found if each.rule in judged.policy.in_force]
        judged.findings += [(path, each) for each in _not_allowed(path, kept, judged)]


def _chosen(scripts: ScriptDirectory, asked: str | None, new: set[str] | None) -> set[str]:
    """Return the revisions to be judged."""
    if asked is None:
        return {script.revision for script in scripts.walk_revisions()} if new is None else new
    first, colon, last = asked.partition(":")
    try:
        if not colon:
            return {script.revision for script in scripts.get_revisions(asked)}
        return {
            script.revision for script in scripts.walk_revisions(first or "base", last or "heads")
        }
    except CommandError as error:
        raise GuardError(f"{error}. See `flask db history`.") from error


def _not_shared(scripts: ScriptDirectory) -> set[str] | None:
    """Return the revisions that git's main branch has not; None where git knows of none."""
    every = {script.revision: Path(script.path) for script in scripts.walk_revisions()}
    there = {folder: shared(folder) for folder in {path.parent for path in every.values()}}
    if None in there.values():
        return None
    return {
        revision for revision, path in every.items() if path.name not in (there[path.parent] or ())
    }


def _not_allowed(path: Path, found: list[Finding], judged: Judged) -> Iterator[Finding]:
    """Return what nobody has allowed, and what was allowed in vain."""
    source = source_of(path)
    used = set()
    for finding in found:
        allowed = [each for each in beside(source, finding.line) if each.rule == finding.rule]
        used |= {each.line for each in allowed}
        if any(each.reason for each in allowed):
            continue
        if (
            judged.settings.released
            or finding.rule not in DROPS
            or not says_loss(source, finding.line)
        ):
            yield finding
    branches = [
        range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If)
    ]
    for each in allowances(source):
        if not each.reason:
            code = f"# schema_guard: allow {each.rule or 'RULE'} -- why nothing is lost or stopped"
            yield Finding(NO_REASON, RULES[NO_REASON].danger, each.rule, code, each.line)
        elif each.line in used or (
            each.rule in judged.policy.rules and each.rule not in judged.policy.in_force
        ):
            continue
        elif not any(each.line in branch for branch in branches):  # which another DBMS may take
            code = "# without this comment"
            yield Finding(UNUSED, RULES[UNUSED].danger, each.rule, code, each.line)
