"""Sessions for developers: ``nox`` runs lint, types, tests and wheel; ``nox -s bench`` measures."""

import nox

nox.options.sessions = ["lint", "types", "tests", "wheel"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True


def _install(session: nox.Session) -> None:
    session.install("--require-hashes", "-r", "requirements/dev.txt")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """All ruff rules, formatting, and the layers of the house."""
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strict."""
    _install(session)
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the whole suite; arguments after ``--`` go to pytest."""
    _install(session)
    session.run("pytest", *session.posargs)


@nox.session
def reference(session: nox.Session) -> None:
    """Test the main job on the whole reference application, the language model searched, too."""
    _install(session)
    session.run("pytest", "tests/test_reference_application.py", env={"VTOOL_REFERENCE": "1"})


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it alone, and use it away from the checkout."""
    session.install("--require-hashes", "-r", "requirements/dev.txt")
    out = session.create_tmp()
    session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", out)
    session.run("python", "tests/wheel_works.py", out)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers, interleaved, on the reference application."""
    _install(session)
    session.run("python", "benchmarks/analysis.py", *session.posargs)


@nox.session
def models(session: nox.Session) -> None:
    """Measure models beside the tools of others; arguments after ``--`` go to the script."""
    _install(session)
    project = nox.project.load_toml("pyproject.toml")
    session.install(*nox.project.dependency_groups(project, "peers"))
    session.run("python", "benchmarks/models.py", *session.posargs)


@nox.session
def quantizers(session: nox.Session) -> None:
    """Compare ways to write a weight in few bits, at equal error."""
    _install(session)
    session.run("python", "benchmarks/quantizers.py", *session.posargs)


@nox.session
def graph_work(session: nox.Session) -> None:
    """Measure the lossless passes on a large model."""
    _install(session)
    session.run("python", "benchmarks/graph_work.py", *session.posargs)


@nox.session
def operators(session: nox.Session) -> None:
    """Compare what target runtimes lack with the lists in rules/targets."""
    _install(session)
    session.run("python", "benchmarks/operators.py", *session.posargs)


@nox.session
def ablation(session: nox.Session) -> None:
    """Measure what each technique of the voice pipeline is worth; after `make demo`."""
    _install(session)
    session.run("python", "benchmarks/ablation.py", *session.posargs)


@nox.session
def voice_peers(session: nox.Session) -> None:
    """Measure the voice stages beside faster-whisper and node-llama-cpp; after `make demo`."""
    _install(session)
    project = nox.project.load_toml("pyproject.toml")
    session.install(*nox.project.dependency_groups(project, "voice-peers"))
    session.run("python", "benchmarks/voice_peers.py", *session.posargs)


@nox.session
def pauses(session: nox.Session) -> None:
    """Find out how soon the end of speech may be decided, on real recordings."""
    _install(session)
    session.run("python", "benchmarks/pauses.py", *session.posargs)


@nox.session
def self_test(session: nox.Session) -> None:
    """Find out whether the clock of this machine can be believed: about a quarter of an hour."""
    _install(session)
    session.run("vtool", "bench", "--self-test", *session.posargs)


@nox.session
def removal(session: nox.Session) -> None:
    """Measure what each bundler removes of the fixture SDK, and what it loses."""
    _install(session)
    session.run("python", "benchmarks/removal.py", *session.posargs)


@nox.session
def program_speed(session: nox.Session) -> None:
    """Measure how long the analysis of a program takes, beside esbuild and rolldown."""
    _install(session)
    session.run("python", "benchmarks/program_speed.py", *session.posargs)


@nox.session
def deletion(session: nox.Session) -> None:
    """Check every label of the fixture SDK by deleting what it is about."""
    _install(session)
    session.run("python", "benchmarks/deletion.py", *session.posargs)


@nox.session
def deltas(session: nox.Session) -> None:
    """Measure deltas between real releases that follow each other: about two minutes."""
    _install(session)
    session.run("python", "benchmarks/deltas.py", *session.posargs)


@nox.session
def bundle_sizes(session: nox.Session) -> None:
    """Compare how small bundlers make voice SDKs, libraries and the fixture SDK."""
    _install(session)
    session.run("python", "benchmarks/bundle_sizes.py", *session.posargs)


@nox.session
def graphs(session: nox.Session) -> None:
    """Shake 2,000 random programs and compare what node prints before and after."""
    _install(session)
    session.run("pytest", "tests/program", *session.posargs, env={"VTOOL_GRAPHS": "2000"})


@nox.session
def split_wasm(session: nox.Session) -> None:
    """Measure what splitting by profile makes of onnxruntime-web; needs binaryen."""
    _install(session)
    session.run("python", "benchmarks/split_wasm.py", *session.posargs)
