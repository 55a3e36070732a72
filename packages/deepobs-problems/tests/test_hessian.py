"""The rotation and the eigenvalues of the quadratic."""

import numpy as np
import pytest

from deepobs_problems.hessian import quadratic_deep_hessian, random_rotation


@pytest.mark.parametrize("dimension", [2, 3, 10, 100])
def test_rotation_is_orthogonal_with_determinant_one(dimension):
    rotation = random_rotation(dimension, np.random.RandomState(3))
    assert rotation.shape == (dimension, dimension)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(dimension), atol=1e-12)
    # The final sign flip gives determinant 1 in even dimensions, where the quadratic lives.
    if dimension % 2 == 0:
        assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_hessian_is_symmetric_with_ninety_small_and_ten_large_eigenvalues():
    hessian = quadratic_deep_hessian().numpy()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-14)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert ((eigenvalues > 0) & (eigenvalues < 1)).sum() == 90
    assert ((eigenvalues > 30) & (eigenvalues < 60)).sum() == 10


def test_drawing_the_hessian_touches_no_global_generator():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first, second = quadratic_deep_hessian(), quadratic_deep_hessian()
    assert np.array_equal(first, second)
    assert np.array_equal(np.random.get_state()[1], before)
