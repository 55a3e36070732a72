"""Streams are addressed, frozen and leave the global generator alone."""

import torch

from deepobs_runner.seeds import generator, global_stream, seed_of


def test_seeds_are_frozen():
    # Changing these changes every result ever stored.
    assert seed_of(42, "init") == 7920988386951094333
    assert seed_of(42, "data", 1) == 8326145568466471811
    assert seed_of(43, "noise", 7) == 1092247788286002547


def test_seed_is_the_first_63_bits_of_sha256():
    import hashlib

    bits = int(hashlib.sha256(b"42/data/3").hexdigest(), 16) >> (256 - 63)
    assert seed_of(42, "data", 3) == bits
    assert 0 <= bits < 2**63


def test_streams_differ_by_every_part_of_the_address():
    addresses = [(42, "data", 1), (42, "data", 2), (42, "noise", 1), (43, "data", 1), (42, "init")]
    firsts = {torch.rand(1, generator=generator(*address)).item() for address in addresses}
    assert len(firsts) == len(addresses)


def test_global_stream_draws_the_same_and_leaves_the_generator_as_it_was():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with global_stream(42, "init"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(inside, torch.rand(3, generator=generator(42, "init")))
