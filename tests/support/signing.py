"""Keys made by the command, and `dli policy` on a test's topics."""

from pathlib import Path

from tests.support.commands import Ran, dli
from workers.configuration.settings import Settings

NUMBER = "L.2.03.402"


OFFICE = "Medical policy office"


def keygen(folder: Path, name: str = OFFICE, policy: str = NUMBER, *more: str) -> tuple[Path, Path]:
    """A private key's file, and the folder of public keys with its own among them."""
    private, public = folder / f"{name}.pem", folder / "keys"
    public.mkdir(exist_ok=True)
    ran = dli("policy", "keygen", str(private), "--name", name, "--policy", policy, *more)
    assert ran.code == 0, ran.err
    (public / f"{name}.yaml").write_text(ran.out, "utf-8")
    return private, public


def run(found: Settings, *command: str) -> Ran:
    return dli("policy", *command, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
