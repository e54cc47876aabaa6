"""Under which licences the image's packages stand, as SPDX expressions, and whether we may ship them so."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

from deploy.supply_chain.check import ENVIRONMENT, FOLDER, AuditError, Outcome, entries, last_line, outcome, ran, read

CHECK = "licences"
ANSWERS = FOLDER / "licences.yaml"
_SAYS = ("License-Expression", "License-Metadata", "License-Classifier")
"""Where a package may say it, the surest first, as pip-licenses names them."""
_UNKNOWN = "UNKNOWN"


def declared(environment: Path = ENVIRONMENT) -> dict[str, dict[str, str]]:
    """What each package installed there says of its licence, by pip-licenses.

    Raises:
        AuditError: Nothing is installed there, or pip-licenses is not there.
    """
    python = environment / "bin" / "python"
    if not python.exists():
        raise AuditError(
            f"{environment}: the image's packages are not installed there: run `make audit`, which does it"
        )
    done = ran("pip-licenses", "--python", python, "--from", "all", "--with-system", "--format", "json")
    if done.returncode:
        raise AuditError(f"pip-licenses ends with {done.returncode}: {last_line(done.stderr)}")
    return {canonicalize_name(one["Name"]): one for one in json.loads(done.stdout)}


def lacking(expression: str, allowed: frozenset[str]) -> frozenset[str]:
    """The licences that an SPDX expression asks for and that are not allowed; of alternatives those that lack least."""
    words = re.findall(r"[()]|[^\s()]+", expression)

    def alternatives() -> frozenset[str]:
        found = [together()]
        while words and words[0] == "OR":
            words.pop(0)
            found.append(together())
        return min(found, key=len)

    def together() -> frozenset[str]:
        found = one()
        while words and words[0] == "AND":
            words.pop(0)
            found |= one()
        return found

    def one() -> frozenset[str]:
        word = words.pop(0)
        if word == "(":
            found = alternatives()
            words.pop(0)
            return found
        if words and words[0] == "WITH":
            # A permission more than the licence has: allowed by its whole name, or not at all.
            words.pop(0)
            word = f"{word} WITH {words.pop(0)}"
        return frozenset() if word in allowed else frozenset({word})

    return alternatives()


def spdx(said: Mapping[str, str], texts: Mapping[str, str]) -> str | None:
    """The expression that a package's own words mean; None where they leave it open."""
    for name in _SAYS:
        text = said.get(name, _UNKNOWN)
        if text == _UNKNOWN:
            continue
        if text in texts:
            return texts[text]
        try:
            return str(canonicalize_license_expression(text))
        except InvalidLicenseExpression:
            continue
    return None


class Licences:
    """What people answered: what is allowed, what words mean, where a licence stands, and what is excepted."""

    def __init__(self, file: Path = ANSWERS) -> None:
        """Read them.

        Raises:
            AuditError: A mistake in the file.
        """
        found = read(file)
        allowed, texts = found.get("allowed"), found.get("texts")
        if not isinstance(allowed, list) or not isinstance(texts, dict):
            raise AuditError(f"{file}: a list `allowed` and, as `texts`, words with what they mean are expected")
        self.allowed = frozenset(str(one) for one in allowed)
        self.texts = {str(text): _expression(file, str(means)) for text, means in texts.items()}
        self.stated = self._by_package(file, "stated", "package", "licence", "file", "says")
        self.exceptions = self._by_package(file, "exceptions", "package", "licences", "why")
        for name, one in self.exceptions.items():
            if not isinstance(one["licences"], list):
                raise AuditError(f"{file}: {name}: a list of `licences` is expected")
        for one in self.stated.values():
            one["licence"] = _expression(file, str(one["licence"]))

    @staticmethod
    def _by_package(file: Path, section: str, *names: str) -> dict[str, dict[str, Any]]:
        return {canonicalize_name(str(one["package"])): one for one in entries(file, section, *names)}


def _expression(file: Path, text: str) -> str:
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        raise AuditError(f"{file}: {text!r} is no SPDX expression") from None


def concluded(said: Mapping[str, Mapping[str, str]], answers: Licences) -> dict[str, str | None]:
    """The licence of each package: as it is stated by us, else as the package says; None where neither does."""
    return {
        name: answers.stated[name]["licence"] if name in answers.stated else spdx(one, answers.texts)
        for name, one in said.items()
    }


def check(*, environment: Path = ENVIRONMENT, answers: Path = ANSWERS) -> Outcome:
    """Hold the licence of everything that is installed there against what is allowed.

    Raises:
        AuditError: The answers have a mistake, nothing is installed, or pip-licenses is not there.
    """
    ours = Licences(answers)
    said = declared(environment)
    failures = [*judged(said, ours), *_unproved(ours, environment)]
    return outcome(CHECK, f"{len(said)} packages of the image, {len(ours.exceptions)} by exception", failures)


def judged(said: Mapping[str, Mapping[str, str]], ours: Licences) -> Iterator[str]:
    """What is wrong with the packages, or with an answer that none of them needs."""
    for name, expression in concluded(said, ours).items():
        if expression is None:
            told = "; ".join(" ".join(said[name].get(one, _UNKNOWN).split())[:60] for one in _SAYS)
            yield f"{name}: its licence is not known ({told}): look into its archive, and add it to `stated`"
            continue
        excepted = frozenset(ours.exceptions.get(name, {}).get("licences", ()))
        wanted = lacking(expression, ours.allowed | excepted)
        if wanted:
            yield f"{name}: {expression} is not allowed ({', '.join(sorted(wanted))})"
        for needless in sorted(excepted - lacking(expression, ours.allowed)):
            yield f"{name}: the exception for {needless} is not needed any more: remove it"
    for name in sorted((ours.stated.keys() | ours.exceptions.keys()) - said.keys()):
        yield f"{name}: an answer is there, and no such package any more: remove it"
    for name, stated in ours.stated.items():
        if name in said and spdx(said[name], ours.texts) == stated["licence"]:
            yield f"{name}: it says itself that it is under {stated['licence']}: remove what we state"


def _unproved(ours: Licences, environment: Path) -> Iterator[str]:
    """The statements whose words do not stand in the file that they name."""
    folders = [str(one) for one in environment.glob("lib/python3*/site-packages")]
    installed: dict[str, Distribution] = {
        canonicalize_name(one.metadata["Name"]): one for one in distributions(path=folders)
    }
    for name, stated in ours.stated.items():
        if name in installed and " ".join(str(stated["says"]).split()) not in _text(installed[name], stated["file"]):
            yield f"{name}: {stated['file']} does not say {stated['says']!r} (any more): look at it again"


def _text(package: Distribution, name: str) -> str:
    """A file of a package's metadata, in one line; empty where it is not there."""
    for file in package.files or ():
        if file.name == name and ".dist-info" in file.parts[0]:
            return " ".join(Path(str(file.locate())).read_text("utf-8", "replace").split())
    return ""
