"""The command called in the test's own process, and the options of a small, fast training."""

from pathlib import Path

from click.testing import CliRunner
from safetensors.torch import save_file

from ahl.apps.cli import main
from ahl.features.backbones import TimmBackbone


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def small_backbone(folder: Path) -> tuple[str, ...]:
    """The options of a ResNet of 8 channels with fixed random weights, written to the folder."""
    weights = folder / "small.safetensors"
    if not weights.exists():
        folder.mkdir(parents=True, exist_ok=True)
        network = TimmBackbone(name="resnet18", arguments={"channels": [8, 8, 8, 8]}).network
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, weights)
    channels = ("--backbone-arg", "channels=[8,8,8,8]")
    return ("--backbone", "resnet18", *channels, "--weights", str(weights))


def train_options(folder):
    return (*small_backbone(folder), "--image-size", 64, "--epochs", 2, "--cache", folder)
