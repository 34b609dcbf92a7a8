"""Turn TensorFlow's int8 MobileNetV2 (ImageNet) into weights for the backbone `mobilenet_v2_tf`.

    python tools/import_tflite_mobilenet_v2.py MODEL.tflite PHOTOGRAPHS -o mobilenet_v2_imagenet.safetensors

The file's convolutions are dequantized (one scale per output channel). Their batch normalizations were
folded into them; to train on, each gets one again that computes the same function: mean and variance of
the convolution's output are measured on the photographs, and scale and shift are set to undo them. So
the network starts equal to the file with running statistics, and near it with batch statistics. Prints
how well it agrees with the tflite interpreter on the photographs; needs the PyPI package `ai-edge-litert`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from morphable.commands import run_command
from morphable.files import atomic_path
from morphable_detector_head.backbones import build_classifier, describe_backbone

BACKBONE = "mobilenet_v2_tf"
NUM_BACKGROUND_CLASSES = 1
"""TensorFlow's first class, `background`, is left out: torchvision's networks have 1000."""
INPUT_SIZE_PX = 224
MIN_VARIANCE = 1e-3
"""Floor of the stored variance, so that channels that never fire are not blown up by batch statistics."""
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class Options:
    """Convert the int8 MobileNetV2 of TensorFlow into a trainable backbone."""

    model: Annotated[Path, tyro.conf.Positional]
    """The tflite file."""
    photographs: Annotated[Path, tyro.conf.Positional]
    """Folder of .jpg or .png files: measures batch statistics, and the agreement."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("mobilenet_v2_imagenet.safetensors")
    """Safetensors file with torchvision's names."""
    batch: int = 16
    """Photographs per batch."""


def read_convolutions(model: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (weight, bias) of every convolution in the order of execution, dequantized."""
    interpreter = Interpreter(str(model), experimental_op_resolver_type=_plain_kernels())
    interpreter.allocate_tensors()
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    for operation in interpreter._get_ops_details():
        if operation["op_name"] not in CONVOLUTIONS:
            continue
        _, kernel, bias = operation["inputs"]
        weight = _dequantize(interpreter, details[kernel])
        depthwise = operation["op_name"] == "DEPTHWISE_CONV_2D"
        axes = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        yield weight.permute(*axes).contiguous(), _dequantize(interpreter, details[bias])


def _plain_kernels() -> Any:
    """Without delegates the list of operations is the model's own."""
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _dequantize(interpreter: Interpreter, detail: dict[str, Any]) -> Tensor:
    """Apply the scale of each channel; weights have zero point 0."""
    quantization = detail["quantization_parameters"]
    values = interpreter.get_tensor(detail["index"]).astype(np.float64)
    shape = [1] * values.ndim
    shape[quantization["quantized_dimension"]] = -1
    scales = quantization["scales"].astype(np.float64).reshape(shape)
    points = quantization["zero_points"].astype(np.float64).reshape(shape)
    return torch.from_numpy((values - points) * scales).float()


Pairs = list[tuple[nn.Conv2d, nn.BatchNorm2d]]


def fill_network(network: nn.Module, convolutions: list[tuple[Tensor, Tensor]]) -> Pairs:
    """Copy the weights, with batch normalizations that only add the bias; return the pairs."""
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if len(convolutions) != len(convs) + 1:
        expected = f"model must have {len(convs) + 1} convolutions"
        raise ValueError(f"{expected}, got {len(convolutions)}; use MobileNetV2 1.0")
    for conv, norm, (weight, bias) in zip(convs, norms, convolutions[:-1], strict=True):
        conv.weight.data.copy_(weight)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.data.fill_(1)
        norm.bias.data.copy_(bias)
    classifier = network.classifier[1]
    weight, bias = convolutions[-1]
    classifier.weight.data.copy_(weight[NUM_BACKGROUND_CLASSES:, :, 0, 0])
    classifier.bias.data.copy_(bias[NUM_BACKGROUND_CLASSES:])
    return list(zip(convs, norms, strict=True))


def measure_statistics(network: nn.Module, pairs: Pairs, images: Tensor, batch: int) -> None:
    """Give every batch normalization its statistics on the pictures without changing what it computes."""
    moments: dict[nn.Module, list[Tensor]] = {conv: [] for conv, _ in pairs}

    def record(module: nn.Module, _: Any, output: Tensor) -> None:
        values = output.double()
        moments[module].append(torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))]))

    hooks = [conv.register_forward_hook(record) for conv, _ in pairs]
    logits(network, images[: len(images) // batch * batch], batch)
    for hook in hooks:
        hook.remove()
    for conv, norm in pairs:
        mean, square = torch.stack(moments[conv]).mean(0)
        variance = (square - mean**2).clamp(min=MIN_VARIANCE)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        norm.bias.data.add_(mean.float())


def logits(network: nn.Module, images: Tensor, batch: int) -> Tensor:
    """Classify RGB pictures given as the file's uint8 input values."""
    scale, point = 1 / 127.5, 127
    with torch.no_grad():
        return torch.cat([network((chunk.float() - point) * scale) for chunk in images.split(batch)])


def tflite_logits(model: Path, images: Tensor) -> Tensor:
    """Run the file itself; its output before the softmax, without the background class."""
    interpreter = Interpreter(str(model), num_threads=2, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    operations = interpreter._get_ops_details()
    softmax = next(entry for entry in operations if entry["op_name"] == "SOFTMAX")
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    source = softmax["inputs"][0]
    scale, point = details[source]["quantization"]
    entry = interpreter.get_input_details()[0]["index"]
    rows = []
    for image in images:
        interpreter.set_tensor(entry, image.permute(1, 2, 0)[None].numpy())
        interpreter.invoke()
        rows.append(torch.from_numpy(interpreter.get_tensor(source).copy()))
    values = torch.cat(rows).float()
    return ((values - point) * scale)[:, NUM_BACKGROUND_CLASSES:]


def read_photographs(folder: Path) -> Tensor:
    """Read the central squares of all photographs at the network's input size."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        raise FileNotFoundError(f"{folder} must hold .jpg or .png files, got none; pass a folder of photographs")
    pictures = []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side)).resize((INPUT_SIZE_PX, INPUT_SIZE_PX))
        pictures.append(torch.from_numpy(np.array(square)).permute(2, 0, 1))
    return torch.stack(pictures)


def report(ours: Tensor, theirs: Tensor, name: str) -> None:
    """Print the agreement of two sets of logits."""
    same = (ours.argmax(1) == theirs.argmax(1)).float().mean().item()
    in_five = (theirs.topk(5).indices == ours.argmax(1, keepdim=True)).any(1).float().mean().item()
    pairs = zip(ours, theirs, strict=True)
    correlation = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs])
    print(
        f"{name}: {len(ours)} photographs, same first class {same:.1%}, our first among its five {in_five:.1%}, "
        f"correlation of logits median {correlation.median():.4f}, worst {correlation.min():.4f}"
    )


def run(options: Options) -> None:
    """Convert, check, write."""
    images = read_photographs(options.photographs)
    network = build_classifier(BACKBONE).eval()
    pairs = fill_network(network, list(read_convolutions(options.model)))
    expected = tflite_logits(options.model, images)
    folded = logits(network, images, options.batch)
    measure_statistics(network, pairs, images, options.batch)
    converted = logits(network, images, options.batch)
    report(folded, expected, "folded, against tflite")
    report(converted, expected, "with batch normalization, against tflite")
    report(converted, folded, "with batch normalization, against folded")
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # batch statistics, but the stored ones stay
    report(logits(network, images, options.batch), expected, "with batch statistics, against tflite")
    spec = describe_backbone(BACKBONE)
    metadata = {
        "source": options.model.name,
        "license": "Apache-2.0",
        "architecture": f"torchvision {spec.torchvision_name}, stride-2 padding bottom and right, input 2 x - 1",
    }
    with atomic_path(options.output) as temporary:
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, temporary, metadata)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run."""
    return run_command(
        "import_tflite_mobilenet_v2",
        "morphable-detector-head",
        argv,
        parse=lambda arguments: tyro.cli(Options, args=arguments),
        act=run,
    )


if __name__ == "__main__":
    sys.exit(main())
