"""`codemoe doctor`."""

from codemoe.cli.app import Json, app, print_json


@app.command()
def doctor(as_json: Json = False) -> None:
    """What works on this machine, and what to type for the rest."""
    from codemoe.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    from codemoe.terminal import show_doctor

    show_doctor(found)
