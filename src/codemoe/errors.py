"""The errors that users see. Everything else that escapes a command is a bug."""


class UserError(Exception):
    """Bad input or bad usage (exit code 2): what was found, what was expected, what to type.

    `what` states the finding in one sentence; `fix`, when given, is the next thing to do,
    preferably a command.
    """

    exit_code = 2

    def __init__(self, what: str, fix: str = "") -> None:
        self.what = what
        self.fix = fix
        super().__init__(what + (f"\n  -> {fix}" if fix else ""))

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str]]:
        """So that it comes back whole from another process."""
        return type(self), (self.what, self.fix)


class WorkError(UserError):
    """The input was fine but the work itself failed (exit code 1): disk full, gate missed."""

    exit_code = 1


class MissedThreshold(WorkError):
    """The mixture was made and measured, and it is not as good as the recipe demands."""
