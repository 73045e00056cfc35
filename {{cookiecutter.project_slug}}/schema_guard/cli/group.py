"""The group `flask db`: Flask-Migrate's commands and the guards', read when one is asked for.

A web worker binds the group and runs none of them: it does not pay for what they import.
"""

import click


class CommandGroup(click.Group):
    """Flask-Migrate's group with the guards' commands; the original is left as it is."""

    def __init__(self, theirs: click.Group) -> None:
        """Stand in for a group.

        Args:
            theirs: Flask-Migrate's; commands that somebody adds to it show up here too.
        """
        super().__init__(
            theirs.name, callback=theirs.callback, params=theirs.params, help=theirs.help
        )
        self.theirs = theirs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        from schema_guard.cli.commands import OWN  # noqa: PLC0415 - see above

        return sorted({*self.theirs.list_commands(ctx), *OWN})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command with the guards' options; None if there is no such command."""
        from schema_guard.cli.commands import OWN  # noqa: PLC0415 - see above
        from schema_guard.cli.extend import extended  # noqa: PLC0415 - see above

        command = OWN.get(cmd_name) or self.theirs.get_command(ctx, cmd_name)
        return command and extended(command, is_own=cmd_name in OWN)
