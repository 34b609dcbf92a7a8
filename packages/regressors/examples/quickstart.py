"""Every network once, on noise."""

import torch

from morphable_regressors import DFMVR, DFMVRConfig, FaceParser, MobileFRNet, PRNet, count_operations

crop = torch.rand(1, 3, 128, 128)
views = torch.rand(1, 3, 4, 64, 64)
with torch.no_grad():
    print("Mobile-FRNet parameters", tuple(MobileFRNet().eval()(crop).shape))
    print("PRNet position map     ", tuple(PRNet().eval()(crop).shape))
    print("parsing logits         ", tuple(FaceParser().eval()(crop).shape))
    print("DF-MVR identity        ", tuple(DFMVR(DFMVRConfig(width=0.25)).eval()(views).identity.shape))
counts = count_operations(MobileFRNet(), torch.rand(1, 3, 120, 120))
print(f"Mobile-FRNet: {counts.parameters / 1e6:.2f} M parameters, {counts.total / 1e9:.3f} G operations")
