"""Print parameters and operations of the per-face networks."""

import torch

from morphable_regressors import FaceParser, count_operations
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig
from morphable_regressors.mobile_frnet import MobileFRNet, MobileFRNetConfig
from morphable_regressors.mulen_unet import MulEnUNet
from morphable_regressors.prnet import PRNet
from morphable_regressors.rednet import RedNet50

NETWORKS = (
    ("Mobile-FRNet", MobileFRNet(), (1, 3, 120, 120)),
    ("Mobile-FRNet without attention", MobileFRNet(MobileFRNetConfig(attention=False)), (1, 3, 120, 120)),
    ("PRNet (resfcn256)", PRNet(), (1, 3, 256, 256)),
    ("MulEn-UNet", MulEnUNet(), (1, 3, 4, 224, 224)),
    ("RedNet-50 on 256 channels", RedNet50(in_channels=256), (1, 256, 224, 224)),
    ("DF-MVR", DFMVR(), (1, 3, 4, 224, 224)),
    ("DF-MVR, quarter width", DFMVR(DFMVRConfig(width=0.25)), (1, 3, 4, 96, 96)),
    ("face parsing (BiSeNet)", FaceParser(), (1, 3, 256, 256)),
)


def main() -> None:
    """Print the table as Markdown."""
    print("| network | input | parameters, M | multiply-adds, G | with elementwise, G |")
    print("|---|---|---|---|---|")
    for name, network, shape in NETWORKS:
        counts = count_operations(network, torch.zeros(shape))
        size = "x".join(str(number) for number in shape[1:])
        row = f"{counts.parameters / 1e6:.2f} | {counts.multiply_adds / 1e9:.3f} | {counts.total / 1e9:.3f}"
        print(f"| {name} | {size} | {row} |")


if __name__ == "__main__":
    main()
