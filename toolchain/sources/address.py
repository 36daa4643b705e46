"""What a user may name as a target: a package, a folder, an archive or a file."""

from __future__ import annotations

from pathlib import Path

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from toolchain.errors import ConfigError, InputError

FORMS = "npm:NAME@VERSION, pypi:NAME==VERSION, pkg:TYPE/NAME@VERSION, or a path"
_ARCHIVES = (".tgz", ".tar.gz", ".tar", ".zip", ".whl")


def parse(text: str) -> PackageURL | Path:
    """Return the package or the existing path that ``text`` names.

    Errors:
        ConfigError: a malformed package address, or nothing at all.
        InputError: a path with nothing at it.

    >>> str(parse("npm:@scope/name@1.2.3")), str(parse("pypi:Some_Name==1.0"))
    ('pkg:npm/%40scope/name@1.2.3', 'pkg:pypi/some-name@1.0')
    """
    if not text.strip() or "\0" in text:
        raise ConfigError("the target is empty", hint=f"name one: {FORMS}")
    path = Path(text)
    if not path.exists():
        if is_address(text):
            return package(text)
        raise InputError(f"there is nothing at {text}", hint=f"a target is {FORMS}")
    return path


def is_address(text: str) -> bool:
    """Return whether ``text`` starts with a scheme; one letter and a colon is a Windows drive."""
    scheme, colon, _rest = text.partition(":")
    return bool(colon) and len(scheme) > 1 and scheme.isascii() and scheme.isalnum()


def package(text: str) -> PackageURL:
    """Return the package that ``text`` names; its version is None where none is written.

    Errors:
        ConfigError: malformed.
    """
    scheme, _colon, rest = text.partition(":")
    if scheme == "pkg":
        try:
            return PackageURL.from_string(text)
        except ValueError as error:
            raise _malformed(text) from error
    name, version = _split(rest, "==" if scheme == "pypi" else "@")
    if not is_name(name) or (version is not None and not _is_version(version)):
        raise _malformed(text)
    if scheme == "pypi":
        return PackageURL("pypi", None, canonicalize_name(name), version)
    namespace, _slash, last = name.rpartition("/")
    return PackageURL(scheme, namespace or None, last, version)


def exact(text: str) -> PackageURL:
    """Return the package and version that ``text`` names.

    Errors:
        ConfigError: malformed, or no version in it.
    """
    purl = package(text)
    if not purl.version:
        raise ConfigError(f"{text} has no version", hint=f"write it in full: {FORMS}")
    return purl


def show(purl: PackageURL) -> str:
    """Write ``purl`` as users do.

    >>> show(PackageURL("npm", "@scope", "name", "1.2.3")), show(PackageURL("pypi", None, "a", "1"))
    ('npm:@scope/name@1.2.3', 'pypi:a==1')
    """
    version = f"{'==' if purl.type == 'pypi' else '@'}{purl.version}" if purl.version else ""
    return f"{purl.type}:{full_name(purl)}{version}"


def full_name(purl: PackageURL) -> str:
    """Return the name with its scope: ``@scope/name``."""
    return f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name


def is_archive(path: Path) -> bool:
    """Return whether the name says that ``path`` is an archive vtool opens."""
    return path.name.lower().endswith(_ARCHIVES)


def _split(rest: str, mark: str) -> tuple[str, str | None]:
    at = rest.find(mark, 1)  # not at 0: a scope starts with @
    return (rest, None) if at < 0 else (rest[:at], rest[at + len(mark) :])


def is_name(name: str) -> bool:
    """Return whether ``name`` may name a package: a word, or ``@scope/word``; never a path."""
    scope, slash, last = name.rpartition("/")
    words = all(_is_word(part.removeprefix("@")) for part in ([scope, last] if slash else [last]))
    return words and not last.startswith("@") and (not slash or scope.startswith("@"))


def _is_word(text: str) -> bool:
    return bool(text.strip(".")) and all(c.isascii() and (c.isalnum() or c in "-_.~") for c in text)


def _is_version(text: str) -> bool:
    return bool(text) and all(c.isascii() and (c.isalnum() or c in "-_.+!") for c in text)


def _malformed(text: str) -> ConfigError:
    return ConfigError(f"{text[:200]!r} is not a package address", hint=f"a target is {FORMS}")
