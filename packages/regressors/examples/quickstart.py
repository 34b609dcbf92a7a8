"""Every network once, on noise."""

import torch

from morphable_regressors import FaceParser, count_operations
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig
from morphable_regressors.mobile_frnet import MobileFRNet
from morphable_regressors.prnet import PRNet

crop = torch.rand(1, 3, 128, 128)
views = torch.rand(1, 3, 4, 64, 64)
with torch.no_grad():
    print("Mobile-FRNet parameters", tuple(MobileFRNet().eval()(crop).shape))
    print("PRNet position map     ", tuple(PRNet().eval()(crop).shape))
    print("parsing logits         ", tuple(FaceParser().eval()(crop).shape))
    print("DF-MVR identity        ", tuple(DFMVR(DFMVRConfig(width=0.25)).eval()(views).identity.shape))
counts = count_operations(MobileFRNet(), torch.rand(1, 3, 120, 120))
print(f"Mobile-FRNet: {counts.parameters / 1e6:.2f} M parameters, {counts.total / 1e9:.3f} G operations")
