"""The one test a package with a problem should have."""

from deepobs_problems.testing import check_problem


def test_conformance():
    check_problem("cifar10_resnet_gn").raise_for_failures()
