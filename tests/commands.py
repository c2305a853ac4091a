"""The command called in the test's own process."""

from click.testing import CliRunner

from ahl.cli import main


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def train_options(tmp_path):
    return ("--backbone", "embedded", "--image-size", 64, "--epochs", 2, "--cache", tmp_path)
