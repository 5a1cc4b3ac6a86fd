"""The pytest plugin: the fixture ``check_gradients``, the marker ``gradients``, reports (``--derivcheck-report``,
``--derivcheck-sarif``), remembered verdicts and audits.

Loaded by entry point; it imports nothing but pytest until a test asks for the fixture, or the command line for an audit.

    @pytest.mark.gradients(dtypes=["float64", "float32"], layouts=["contiguous", "transposed"], shapes=[(5, 3), (1, 7)])
    def test_my_norm(check_gradients, gradient_variant):
        check_gradients(MyNorm.apply, {"x": gradient_variant.randn(*gradient_variant.shape)})
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch  # a suite that asks for nothing loads nothing

    from derivcheck.audit.outcome import Audit
    from derivcheck.checking.report.report import Report
    from derivcheck.files import Outputs  # a suite that asks for nothing loads nothing
    from derivcheck.pytest_plugin.verdicts import Verdicts

_REPORTS = pytest.StashKey[list[dict[str, Any]]]()
_SUITE = pytest.StashKey[Any]()
_AUDITS = pytest.StashKey[list[dict[str, Any]]]()
_VERDICTS = pytest.StashKey[Any]()
_HEARD = pytest.StashKey[list[dict[str, Any]]]()
_FINDINGS = pytest.StashKey[list[dict[str, Any]]]()
_CACHE = "derivcheck/verdicts"
_KINDS = ("dtypes", "devices", "shapes", "layouts")


@dataclass(frozen=True)
class Variant:
    """One combination that the marker ``gradients`` asks for.

    Attributes:
        dtype: a torch type by name.
        device: ``cpu``, ``cuda`` or ``mps``; a test for one that is not there is skipped.
        shape: one of the marker's shapes, or ().
        layout: see :func:`derivcheck.strategies.laid_out`.
    """

    dtype: str = "float64"
    device: str = "cpu"
    shape: tuple[int, ...] = ()
    layout: str = "contiguous"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The torch type."""
        import torch  # a suite that asks for nothing loads nothing

        found = getattr(torch, self.dtype, None)
        if not isinstance(found, torch.dtype):
            raise pytest.UsageError(f"the marker gradients names a type {self.dtype!r} that torch does not have")
        return found

    def randn(self, *shape: int, seed: int = 0) -> torch.Tensor:
        """Normal data of that shape in this variant's type, device and layout."""
        import torch  # a suite that asks for nothing loads nothing

        from derivcheck.strategies import laid_out  # a suite that asks for nothing loads nothing

        x = torch.randn(shape or self.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return laid_out(x.to(self.torch_dtype).to(self.device), self.layout)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, in a group of their own."""
    group = parser.getgroup("derivcheck")
    group.addoption(
        "--derivcheck-report",
        metavar="FILE",
        default=None,
        help="write the reports of all gradient checks of this run to FILE as JSON, and beside it one HTML page",
    )
    group.addoption(
        "--derivcheck-sarif",
        metavar="FILE",
        default=None,
        help="write what is wrong to FILE as a SARIF 2.1.0 log, with lines and fixes, for a review of the code",
    )
    group.addoption(
        "--derivcheck-no-cache",
        action="store_true",
        help="check every gradient, also where all that the verdict depends on is as it was when it passed",
    )
    group.addoption(
        "--derivcheck-audit",
        action="store_true",
        help="check every hand-written backward that the suite runs, at the tensors that reach it; a wrong one fails the run",
    )
    group.addoption(
        "--derivcheck-allow",
        metavar="NAME",
        action="append",
        default=[],
        help="with --derivcheck-audit: this one ('Grad*' fits several) is meant not to be the gradient; repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker takes; a report that could not be written ends the run before it starts."""
    config.addinivalue_line(
        "markers",
        "gradients(dtypes, devices, shapes, layouts): run the test once for each combination; the "
        "fixture gradient_variant tells which, check_gradients uses its type and device",
    )
    config.stash[_REPORTS] = []
    config.stash[_AUDITS] = []
    config.stash[_HEARD] = []
    config.stash[_FINDINGS] = []
    file, log = config.getoption("--derivcheck-report"), config.getoption("--derivcheck-sarif")
    if (file or log) and not hasattr(config, "workerinput"):
        from derivcheck.errors import InputError  # a suite that asks for nothing loads nothing

        try:
            for outputs in ([_outputs(file)[0]] if file else []) + ([_log(log)] if log else []):
                outputs.ask()
        except InputError as e:
            raise pytest.UsageError(str(e)) from None


def pytest_sessionstart(session: pytest.Session) -> None:
    """With ``--derivcheck-audit`` look from here on; the controller of pytest-xdist runs no test."""
    config = session.config
    if config.getoption("--derivcheck-audit") and not (config.getoption("numprocesses", None) and not _is_worker(config)):
        from derivcheck.audit.suite import Suite  # a suite that asks for nothing loads nothing

        config.stash[_SUITE] = Suite()
        config.stash[_SUITE].start()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each combination of what the marker ``gradients`` lists."""
    marker = metafunc.definition.get_closest_marker("gradients")
    if marker is None:
        return
    unknown = sorted(set(marker.kwargs) - set(_KINDS))
    if unknown or marker.args:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: the marker gradients takes {', '.join(_KINDS)}; found "
            f"{', '.join(unknown) or 'positional arguments'}"
        )
    if "gradient_variant" not in metafunc.fixturenames:
        return
    given = [list(marker.kwargs.get(kind, [default])) for kind, default in zip(_KINDS, ("float64", "cpu", (), "contiguous"))]
    variants = [Variant(str(d).removeprefix("torch."), str(v), tuple(s), lay) for d, v, s, lay in itertools.product(*given)]
    metafunc.parametrize("gradient_variant", variants, indirect=True, ids=[_id(v, marker.kwargs) for v in variants])


def _id(v: Variant, asked: Mapping[str, Any]) -> str:
    parts = {"dtypes": v.dtype, "devices": v.device, "shapes": "x".join(map(str, v.shape)), "layouts": v.layout}
    return "-".join(parts[k] for k in _KINDS if k in asked) or "default"


@pytest.fixture
def gradient_variant(request: pytest.FixtureRequest) -> Variant:
    """The combination of type, device, shape and layout that this run of the test is for."""
    variant: Variant = getattr(request, "param", Variant())
    if variant.device != "cpu":
        import torch  # a suite that asks for nothing loads nothing

        there = torch.cuda.is_available() if variant.device.startswith("cuda") else torch.backends.mps.is_available()
        if not there:
            pytest.skip(f"there is no {variant.device} device on this machine")
    return variant


@pytest.fixture
def check_gradients(request: pytest.FixtureRequest, gradient_variant: Variant) -> Callable[..., Report]:
    """``dc.check`` that fails the test where a gradient is wrong, and collects its report for ``--derivcheck-report``.

    It takes the arguments of :func:`derivcheck.check` and returns the report.
    """
    from derivcheck.errors import GradientMismatch  # a suite that asks for nothing loads nothing

    verdicts = _verdicts(request.config)

    def run(forward: Any, inputs: Any, backward: Any = None, **options: Any) -> Report:
        """The check with the variant's type and device; its report is kept for ``--derivcheck-report``."""
        options.setdefault("dtype", gradient_variant.torch_dtype)
        options.setdefault("device", gradient_variant.device)
        report = _checked(request, verdicts, (forward, inputs, backward), options)
        if request.config.getoption("--derivcheck-report"):
            request.config.stash[_REPORTS].append({"test": request.node.nodeid, **report.to_dict()})
        if not report.passed:
            if request.config.getoption("--derivcheck-sarif"):
                from derivcheck.checking.report.review import findings  # a suite that asks for nothing loads nothing

                place = str(request.path), request.function.__code__.co_firstlineno
                request.config.stash[_FINDINGS] += [f.to_dict() for f in findings(report, place)]
            raise GradientMismatch(report)
        return report

    return run


def _checked(
    request: pytest.FixtureRequest, verdicts: Verdicts | None, given: tuple[Any, Any, Any], options: dict[str, Any]
) -> Report:
    """The report of a check, or the one of an earlier run where nothing has changed that it depends on."""
    question = None
    if verdicts is not None:
        from derivcheck.pytest_plugin.verdicts import AskedCheck  # a suite that asks for nothing loads nothing

        question = verdicts.ask(request, AskedCheck(*given, options))
        if question.report is not None:
            return question.report
    from derivcheck.checking.check import check  # where all is remembered, nothing of it is loaded

    report = check(*given, **options)
    if question is not None:
        question.keep(report)
    return report


def _verdicts(config: pytest.Config) -> Verdicts | None:
    """What earlier runs found; None where it is not asked, or pytest's own cache is off."""
    if config.getoption("--derivcheck-no-cache") or getattr(config, "cache", None) is None:
        return None
    if _VERDICTS not in config.stash:
        from derivcheck.pytest_plugin.verdicts import Verdicts  # a suite that asks for nothing loads nothing

        known = config.cache.get(_CACHE, {})
        config.stash[_VERDICTS] = Verdicts(known if _whole(known) else {})
    found: Verdicts = config.stash[_VERDICTS]
    return found


def _whole(known: Any) -> bool:
    """Whether a file of verdicts is as it was written."""
    return isinstance(known, dict) and all(isinstance(v, dict) and isinstance(v.get("day"), int) for v in known.values())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, None]:
    """A gradient that does not hold is shown as its report, what derivcheck refuses as its sentence: not as a stack."""
    outcome = yield
    errors = sys.modules.get("derivcheck.errors")
    if call.excinfo is None or errors is None or not isinstance(call.excinfo.value, errors.DerivcheckError):
        return
    error, where = call.excinfo.value, _line_in_test(item, call.excinfo)
    kind = "" if isinstance(error, errors.GradientMismatch) else f"{type(error).__name__}: "
    outcome.get_result().longrepr = "\n".join([f"{kind}{error}", *getattr(error, "__notes__", ()), "", where])


def _line_in_test(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    own = [entry for entry in excinfo.traceback if Path(str(entry.path)) == item.path]
    if not own:
        return item.nodeid
    return f"{os.path.relpath(item.path, item.config.rootpath)}:{own[-1].lineno + 1}: {str(own[-1].statement).strip()}"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker of pytest-xdist collected."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_REPORTS].extend(output.get("derivcheck_reports", []))
    node.config.stash[_AUDITS].extend(output.get("derivcheck_audits", []))
    node.config.stash[_FINDINGS].extend(output.get("derivcheck_findings", []))
    node.config.stash[_HEARD].extend(output.get("derivcheck_verdicts", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Check what an audit has seen, and write the report; a worker of pytest-xdist hands its part to the controller."""
    _audited(session)
    _remembered(session.config)
    _reviewed(session.config)
    file = session.config.getoption("--derivcheck-report")
    if not file:
        return
    reports = session.config.stash[_REPORTS]
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["derivcheck_reports"] = reports
        return
    from derivcheck.checking.report.page import page  # a suite that asks for nothing loads nothing
    from derivcheck.files import marked  # a suite that asks for nothing loads nothing

    outputs, json_file, html_file = _outputs(file)
    text = json.dumps({"reports": reports}, indent=1) + "\n"
    outputs.write({json_file: marked(text, "json"), html_file: marked(page(reports), "html")})


def _audited(session: pytest.Session) -> None:
    """The checks of an audit; a wrong gradient fails a run that has no other failure."""
    config = session.config
    suite = config.stash.get(_SUITE, None)
    if suite is not None:
        config.stash[_AUDITS].append(suite.finish())
    if _is_worker(config):
        config.workeroutput["derivcheck_audits"] = config.stash[_AUDITS]  # type: ignore[attr-defined]
    elif config.stash[_AUDITS] and _audit_of(config).faulty and session.exitstatus in (pytest.ExitCode.OK, 5):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reviewed(config: pytest.Config) -> None:
    """Write the log of what is wrong, or hand it to the controller of pytest-xdist."""
    file = config.getoption("--derivcheck-sarif")
    if _is_worker(config):
        config.workeroutput["derivcheck_findings"] = config.stash[_FINDINGS]  # type: ignore[attr-defined]
    elif file:
        from derivcheck.checking.report.review import gathered, sarif  # a suite that asks for nothing loads nothing
        from derivcheck.files import marked  # a suite that asks for nothing loads nothing

        parts: list[dict[str, Any]] = config.stash[_FINDINGS]
        text = sarif(list(gathered(parts)))
        _log(file).write({Path(file): marked(text, "sarif")})


def _log(file: str) -> Outputs:
    from derivcheck.files import Outputs  # a suite that asks for nothing loads nothing

    return Outputs([(Path(file), "--derivcheck-sarif")], force=None)


def _remembered(config: pytest.Config) -> None:
    """Hand the verdicts to the next run, or to the controller of pytest-xdist."""
    if config.stash[_HEARD]:
        verdicts = _verdicts(config)
        for part in config.stash[_HEARD]:
            if verdicts is not None:
                verdicts.add(part)
    own: Verdicts | None = config.stash.get(_VERDICTS, None)
    if own is None:
        return
    if _is_worker(config):
        config.workeroutput["derivcheck_verdicts"] = [own.to_dict()]  # type: ignore[attr-defined]
    elif own.fresh:
        config.cache.set(_CACHE, own.kept())


def _audit_of(config: pytest.Config) -> Audit:
    from derivcheck.audit.suite import together  # a suite that asks for nothing loads nothing

    parts: list[Any] = config.stash[_AUDITS]
    return together(parts, config.getoption("--derivcheck-allow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of an audit, and what is wrong; how many verdicts were remembered."""
    verdicts: Verdicts | None = config.stash.get(_VERDICTS, None)
    for line in [] if verdicts is None else verdicts.words(config.get_verbosity() > 0):
        terminalreporter.write_line(line)
    if config.stash[_AUDITS]:
        terminalreporter.section("derivcheck audit")
        terminalreporter.write_line(str(_audit_of(config)))


def _outputs(file: str) -> tuple[Outputs, Path, Path]:
    """The two files of the report."""
    from derivcheck.files import Outputs  # a suite that asks for nothing loads nothing

    json_file = Path(file)
    html_file = json_file.with_suffix(".html")
    return Outputs([(p, "--derivcheck-report") for p in (json_file, html_file)], force=None), json_file, html_file
