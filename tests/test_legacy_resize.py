"""deepobs-data and deepobs-models each have TensorFlow 1's resize; they compute the same."""

import pytest
import torch

from deepobs_data import resize_legacy
from deepobs_models import legacy_bilinear_resize


@pytest.mark.parametrize("before", [(5, 7), (16, 16), (37, 53), (1, 4)])
@pytest.mark.parametrize("after", [(16, 16), (18, 26), (5, 9), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_resizes_agree(before, after, dtype):
    x = torch.rand(2, 3, *before, generator=torch.Generator().manual_seed(0)).to(dtype)
    # Only one of them interpolates by torch.lerp, which may end in another last bit.
    tolerance = 4 * torch.finfo(dtype).eps
    actual, expected = legacy_bilinear_resize(x, after), resize_legacy(x, *after)
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)
