"""README's Python example runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_python_example_factorizes_on_the_circuit(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    residual, pulses = done.stdout.split()
    assert 0.0 < float(residual) < 0.1
    assert int(pulses) > 0
