import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pypi.distributions import make_sdist, make_wheel


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert make_wheel("Holy.Grail", "1.0", body=b"x") == make_wheel("Holy.Grail", "1.0", body=b"x")
    assert make_sdist("Holy.Grail", "1.0") == make_sdist("Holy.Grail", "1.0")


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_pip_installs_it_and_python_imports_it(tmp_path: Path, kind: str) -> None:
    if kind == "wheel":
        filename, content, _ = make_wheel("Holy.Grail", "1.0", requires_python=">=3.8", body=b"\0" * 1000)
    else:
        filename, content = make_sdist("Holy.Grail", "1.0", requires_python=">=3.8", body=b"\0" * 1000)
    (tmp_path / filename).write_bytes(content)
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(tmp_path / filename)], check=True)
    told = subprocess.check_output(
        [sys.executable, "-c", "import holy_grail; print(holy_grail.__version__)"], cwd=tmp_path / "site", text=True
    )
    assert told == "1.0\n"
