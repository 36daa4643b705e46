"""Installs the built wheel alone and uses it away from the checkout (``nox -s wheel``)."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path


def main(folder: str) -> None:
    """Install the wheel in ``folder`` beside this environment's libraries and run it."""
    (wheel,) = Path(folder).glob("*.whl")
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        venv.create(home / "env", system_site_packages=False, with_pip=True)
        python = home / "env" / "bin" / "python"
        site = subprocess.run(
            [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-index",
                str(wheel.resolve()),
            ],
            check=True,
            timeout=300,
        )
        own = next((home / "env").glob("lib/python*/site-packages"))
        (own / "libraries.pth").write_text(site + "\n")
        (home / "site").mkdir()
        (home / "site" / "a.js").write_text("export const a = 1;\n")
        for words in (["--version"], ["explain", "strip-wasm"], ["analyze", str(home / "site")]):
            subprocess.run(
                [home / "env" / "bin" / "vtool", *words], check=True, timeout=120, cwd=home
            )
        where = subprocess.run(
            [python, "-c", "from toolchain import resources; print(resources.folder('rules'))"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=home,
        ).stdout.strip()
        if not where.startswith(str(home)):
            raise SystemExit(f"the rules were not read from the wheel but from {where}")


if __name__ == "__main__":
    main(sys.argv[1])
