"""The page of settings, from `workers.configuration.settings`: `dli schemas write` writes it."""

import ast
import inspect
from pathlib import Path
from textwrap import dedent

import workers
from workers.configuration.setting_values import displayed, is_secret
from workers.configuration.settings import Settings, variable, wanted

ROOT = Path(workers.__file__).parent.parent
PAGE = ROOT / "workers" / "configuration" / "SETTINGS.md"
_TOP = """# Settings

Made from `settings.py` by `dli schemas write`; a test holds the two together. `dli settings` shows what each is now,
and where that comes from.

A command's flag wins over the variable in the environment, that over `.env`, that over a file in the folder of mounted
secrets (the variable's name in small letters, one value), and all over the default. That folder is `/run/secrets`, or
what `DLI_SECRETS_DIR` names in the environment. A **secret** is never shown, and no command takes one as an option.

| variable | type | default | meaning |
| --- | --- | --- | --- |
"""


def text() -> str:
    """The page.

    Raises:
        KeyError: A setting has no meaning below it.
    """
    by_name = meanings(inspect.getsource(Settings))
    return _TOP + "".join(_row(name, by_name[name]) for name in Settings.model_fields)


def meanings(source: str) -> dict[str, str]:
    """What a class's source says of each attribute: the text below it."""
    [declared] = (node for node in ast.parse(dedent(source)).body if isinstance(node, ast.ClassDef))
    found = {}
    for attribute, below in zip(declared.body, declared.body[1:], strict=False):
        if not (isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[attribute.target.id] = " ".join(below.value.value.split())
    return found


def _row(name: str, meaning: str) -> str:
    kind = f"**secret**, {wanted(name)}" if is_secret(name) else wanted(name)
    cells = (f"`{variable(name)}`", kind, _default(name), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if value is None or value == "" or is_secret(name):
        return ""
    default = displayed(value)
    entries = default if isinstance(default, list) else [str(default)]
    # Where the packages lie is each machine's own.
    return ", ".join(f"`{entry.removeprefix(f'{ROOT}/')}`" for entry in entries)
