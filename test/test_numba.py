# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""numba comes up beside whatever coverage an environment holds."""

import os
import subprocess
import sys

import pytest

from gsocc_core import __version__, _numba
from gsocc_core.commands import diagnosis

#: What numba finds in the environments: coverage 6, 7.0 to 7.6.0, and from 7.6.1 on.
COVERAGES = {
    "6.5.0": None,
    "7.4.4": "TTracer = object\n",
    "7.9.0": "class Tracer: pass\nTTraceData = TShouldTraceFn = TFileDisposition = TShouldStartContextFn = int\n"
    "TWarnFn = TTraceFn = int\n",
}


def run(folder, version, program):
    """What a fresh process prints that finds this coverage first."""
    package = folder / "coverage"
    package.mkdir()
    types = COVERAGES[version]
    (package / "__init__.py").write_text(
        f"__version__ = {version!r}\n" + ("" if types is None else "from coverage import types\n")
    )
    if types is not None:
        (package / "types.py").write_text(types)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize("version", ["7.4.4", "7.9.0"])
def test_numba_comes_up_beside_any_coverage(version, tmp_path):
    old = version != "7.9.0"
    if old:
        (tmp_path / "alone").mkdir()
        alone = "try:\n    import numba\nexcept AttributeError as error:\n    print('fails')\n"
        assert run(tmp_path / "alone", version, alone) == ["fails"]
    program = f"import runpy\nhidden = runpy.run_path({_numba.__file__!r})['HIDDEN_COVERAGE']\n"
    program += "import numba, coverage\nprint(hidden, coverage.__version__, numba.njit(lambda: 3)())\n"
    assert run(tmp_path, version, program) == [version if old else "None", version, "3"]


def test_the_package_sees_to_it(tmp_path):
    program = "import gsocc_core, coverage\nprint(gsocc_core.__version__, coverage.__version__)"
    assert run(tmp_path, "6.5.0", program) == [__version__, "6.5.0"]


def test_the_doctor_tells_what_is_hidden(monkeypatch):
    assert "coverage" not in diagnosis.check_numba().found
    monkeypatch.setattr("gsocc_core._numba.HIDDEN_COVERAGE", "6.5.0")
    told = diagnosis.check_numba().found
    assert told.endswith("; coverage 6.5.0, too old for it, is hidden from it")
