"""README's Python examples run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def run(folder, *arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_matrix_is_factorized_on_the_circuit(tmp_path):
    (example,) = [text for text in EXAMPLES if "factorize(" in text]
    residual, pulses = run(tmp_path, "-c", example).split()
    assert 0.0 < float(residual) < 0.1
    assert int(pulses) > 0


def test_a_run_is_opened(tmp_path):
    (example,) = [text for text in EXAMPLES if "open_run" in text]
    (tmp_path / "matrix.csv").write_text("1,2,3\n2,4,6.5\n3,6,9\n1,1,1\n")
    run(tmp_path, "-m", "hwloop", "factorize", "matrix", "matrix.csv", "--rank", "2", "--iterations", "2", "--run-file",
        "runs/my-run.h5")
    told = run(tmp_path, "-c", example)
    assert " S [" in told and "cell_pulses" in told
