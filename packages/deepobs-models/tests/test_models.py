"""Parameter counts, docstring tables, roles, names and bad input."""

import inspect
import math
import re
from collections import Counter

import pytest
import torch
from torch import nn

import deepobs_models as dm

# The table of the original: trainable parameters, and all with the moving statistics.
PARAMETER_COUNTS = [
    ("logreg", {}, 7_850, 7_850),
    ("mlp", {}, 1_336_610, 1_336_610),
    ("2c2d", {}, 3_274_634, 3_274_634),
    ("vae", {}, 10_151_489, 10_151_489),
    ("3c3d", {"num_classes": 10}, 895_210, 895_210),
    ("3c3d", {"num_classes": 100}, 918_340, 918_340),
    ("allcnnc", {}, 1_387_108, 1_387_108),
    ("vgg16", {"num_classes": 10}, 134_301_514, 134_301_514),
    ("vgg16", {"num_classes": 100}, 134_670_244, 134_670_244),
    ("vgg16", {"num_classes": 1001}, 138_361_641, 138_361_641),
    ("vgg19", {"num_classes": 10}, 139_611_210, 139_611_210),
    ("vgg19", {"num_classes": 100}, 139_979_940, 139_979_940),
    ("vgg19", {"num_classes": 1001}, 143_671_337, 143_671_337),
    ("wrn164", {"num_classes": 10}, 2_748_890, 2_752_506),
    ("wrn404", {"num_classes": 100}, 8_972_340, 8_983_124),
    ("inception_v3", {}, 27_164_082, 27_200_306),
    ("char_lstm", {}, 284_499, 284_499),
    ("quadratic", {"hessian": torch.eye(100)}, 100, 100),
    ("rosenbrock", {}, 2, 2),
    ("beale", {}, 2, 2),
    ("branin", {}, 2, 2),
]
# Not in the original: counts of torchvision and of the papers' code.
OTHER_COUNTS = [
    ("vgg11", {"num_classes": 1000}, 132_863_336),
    ("vgg13", {"num_classes": 1000}, 133_047_848),
    ("vgg11_bn", {"num_classes": 1000}, 132_868_840),
    ("vgg13_bn", {"num_classes": 1000}, 133_053_736),
    ("vgg16_bn", {"num_classes": 1000}, 138_365_992),
    ("vgg19_bn", {"num_classes": 1000}, 143_678_248),
    ("wrn", {"depth": 16, "widen_factor": 4}, 2_748_890),
    ("wrn2810", {}, 36_479_194),
    ("char_gpt", {}, 10_745_088),
    ("char_gpt", {"num_classes": 83}, 10_752_000),
    ("char_gpt_small", {}, 804_096),
    ("char_gpt_small", {"num_classes": 83}, 806_400),
    ("signal_mlp", {}, 15_210),
    ("signal_conv", {}, 5_210),
    ("signal_gru", {}, 5_134),
    ("bigram_table", {}, 1_000_000),
    ("low_rank_bigram", {}, 128_000),
    ("noisy_quadratic", {}, 1_000),
    ("laplacian_mlp", {}, 129),
    ("burgers_mlp", {}, 3021),
    ("self_attention", {}, 66_048),
    ("modular_transformer", {}, 226_816),
]


def count_trained(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def build_on_meta(name: str, **kwargs) -> nn.Module:
    with torch.device("meta"):
        return dm.create_model(name, **kwargs)


@pytest.mark.parametrize(("name", "kwargs", "trained", "total"), PARAMETER_COUNTS)
def test_parameter_counts_equal_the_originals(name, kwargs, trained, total):
    model = build_on_meta(name, **kwargs)
    assert count_trained(model) == trained
    statistics = [b for key, b in model.named_buffers() if ".running_" in f".{key}"]
    assert trained + sum(b.numel() for b in statistics) == total


@pytest.mark.parametrize(("name", "kwargs", "trained"), OTHER_COUNTS)
def test_parameter_counts_of_networks_beyond_the_original(name, kwargs, trained):
    assert count_trained(build_on_meta(name, **kwargs)) == trained


def test_the_tables_of_counts_and_names_cover_each_other():
    counted = {name for name, *_ in [*PARAMETER_COUNTS, *OTHER_COUNTS]}
    assert counted == set(dm.list_models())


DOCUMENTED = [
    ("logreg", {}),
    ("mlp", {}),
    ("2c2d", {}),
    ("3c3d", {}),
    ("vgg16", {"num_classes": 10}),
    ("allcnnc", {}),
    ("wrn164", {"num_classes": 10}),
    ("inception_v3", {}),
    ("vae", {}),
    ("char_lstm", {}),
    ("char_gpt", {}),
    ("signal_mlp", {}),
    ("signal_conv", {}),
    ("signal_gru", {}),
    ("laplacian_mlp", {}),
    ("burgers_mlp", {}),
    ("modular_transformer", {}),
]


@pytest.mark.parametrize(("name", "kwargs"), DOCUMENTED)
def test_layer_table_in_the_docstring_is_true(name, kwargs):
    model = build_on_meta(name, **kwargs)
    text = inspect.getdoc(type(model))  # Python 3.13 takes the indentation off by itself
    table = re.findall(r"^ {4}([\w.]+) +(.*?) *(\d+)(?:  .*)?$", text, re.MULTILINE)
    *layers, total = table
    assert total[0] == "total"
    assert int(total[2]) == count_trained(model)
    for path, what, count in layers:
        layer = model.get_submodule(path)
        assert int(count) == count_trained(layer), path
        if "(" in what and not what.startswith("inception"):
            assert what.startswith(type(layer).__name__), path
    documented = {path for path, _, _ in layers}
    for path, parameter in model.named_parameters():
        covered = any(path == name or path.startswith(f"{name}.") for name in documented)
        assert covered or not parameter.requires_grad, path


# ---------------------------------------------------------------------------------- roles

HEADS_AND_EMBEDDINGS = {
    "logreg": {"dense.weight": "head"},
    "mlp": {"dense4.weight": "head"},
    "2c2d": {"dense2.weight": "head"},
    "3c3d": {"dense3.weight": "head"},
    **{key: {"dense3.weight": "head"} for key in dm.list_models("vgg*")},
    "allcnnc": {"conv9.weight": "head"},
    **{key: {"dense.weight": "head"} for key in dm.list_models("wrn*")},
    "inception_v3": {"dense.weight": "head", "aux_head.dense.weight": "head"},
    "vae": {"decoder.dense3.weight": "head"},
    "char_lstm": {"embedding.weight": "embedding", "dense.weight": "head"},
    "quadratic": {},
    "rosenbrock": {},
    "beale": {},
    "branin": {},
    **{
        key: {"token.weight": "embedding", "position.weight": "embedding"}
        for key in dm.list_models("char_gpt*")
    },
    "signal_mlp": {"dense3.weight": "head"},
    "signal_conv": {"dense.weight": "head"},
    "signal_gru": {"dense.weight": "head"},
    "bigram_table": {"logits.weight": "head"},
    "low_rank_bigram": {"embedding.weight": "embedding", "head.weight": "head"},
    "noisy_quadratic": {},
    "laplacian_mlp": {"layers.1.weight": "head"},
    "burgers_mlp": {"layers.8.weight": "head"},
    "self_attention": {"attention.out_proj.weight": "head"},
    "modular_transformer": {
        "token.weight": "embedding",
        "position.weight": "embedding",
        "head.weight": "head",
    },
}


@pytest.mark.parametrize("name", dm.list_models())
def test_roles_cover_every_parameter(name):
    model = build_on_meta(name)
    found = dm.roles(model)
    special = HEADS_AND_EMBEDDINGS[name]
    assert list(found) == [path for path, _ in model.named_parameters()]
    assert {path: role for path, role in found.items() if role in ("head", "embedding")} == special
    for path, parameter in model.named_parameters():
        layer = model.get_submodule(path.rpartition(".")[0])
        if path not in special:
            if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm):
                expected = "norm"
            else:
                expected = "bias" if parameter.ndim < 2 else "hidden"
            assert found[path] == expected, path


def test_roles_of_other_models():
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 2))
    assert Counter(dm.roles(model).values()) == {
        "embedding": 1,
        "norm": 2,
        "hidden": 1,
        "head": 1,
        "bias": 2,
    }


@pytest.fixture
def process_group(tmp_path):
    """A group of this process alone, which DistributedDataParallel needs."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def wrap_ddp(model):
    return nn.parallel.DistributedDataParallel(model)


WRAPPERS = {
    "compile": ("_orig_mod.", torch.compile),
    "averaged": ("module.", torch.optim.swa_utils.AveragedModel),
    "ddp": ("module.", wrap_ddp),
    "compiled ddp": ("_orig_mod.module.", lambda model: torch.compile(wrap_ddp(model))),
    "ddp of compiled": ("module._orig_mod.", lambda model: wrap_ddp(torch.compile(model))),
    "sequential of one": ("0.", nn.Sequential),
}


@pytest.mark.parametrize("build", [lambda: dm.InceptionV3(2), lambda: dm.CharLSTM(5)])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_roles_of_wrapped_models_are_those_of_the_model_inside(wrapper, build, request):
    if "ddp" in wrapper:
        request.getfixturevalue("process_group")
    prefix, wrap = WRAPPERS[wrapper]
    model = build()
    wrapped = wrap(model)
    expected = {f"{prefix}{name}": role for name, role in dm.roles(model).items()}
    assert list(expected) == [name for name, _ in wrapped.named_parameters()]
    assert dm.roles(wrapped) == expected


def test_roles_with_a_compiled_part():
    model = build_on_meta("inception_v3")
    model.aux_head = torch.compile(model.aux_head)
    heads = {name for name, role in dm.roles(model).items() if role == "head"}
    assert heads == {"dense.weight", "aux_head._orig_mod.dense.weight"}


def test_roles_of_a_new_head_on_inception():
    """A model that merely contains Inception has its own last layer."""
    model = nn.Sequential(build_on_meta("inception_v3"), nn.Linear(3, 2))
    assert [name for name, role in dm.roles(model).items() if role == "head"] == ["1.weight"]


def test_roles_of_inception_without_the_auxiliary_head():
    found = dm.roles(build_on_meta("inception_v3", aux_head=False))
    assert [name for name, role in found.items() if role == "head"] == ["dense.weight"]


# ---------------------------------------------------------------------------------- names


def test_unknown_name_is_answered_with_the_closest():
    with pytest.raises(ValueError, match=r"Unknown model 'wrn-164'. Did you mean 'wrn164'\?"):
        dm.create_model("wrn-164")


def test_create_model_passes_arguments_on():
    assert dm.create_model("mlp", num_classes=3, hidden=(5,)).dense2.out_features == 3


def test_version_is_the_installed_one():
    from importlib.metadata import version

    assert dm.__version__ == version("deepobs-models")
    with pytest.raises(AttributeError, match="no_such_name"):
        dm.no_such_name  # noqa: B018


# ---------------------------------------------------------------------------------- bad input

BAD_ARGUMENTS = [
    (lambda: dm.WideResNet(17, 4, 10), "depth of WideResNet must be 6n.4 .*, got 17"),
    (lambda: dm.WideResNet(4, 4, 10), "got 4"),
    (lambda: dm.WideResNet(16, 0, 10), "widen_factor must be at least 1, got 0"),
    (lambda: dm.VGG(17, 10), "depth of VGG must be 11, 13, 16 or 19, got 17"),
    (lambda: dm.VGG(16, 10, dropout=1.0), r"dropout must be in \[0, 1\), got 1.0"),
    (lambda: dm.VGG(16, 10, image_size=0), "image_size must be at least 1 for VGG, got 0"),
    (lambda: dm.AllCNNC(dropout=-0.1), "dropout must be in .*, got -0.1"),
    (lambda: dm.AllCNNC(input_dropout=1.5), "input_dropout must be in .*, got 1.5"),
    (lambda: dm.AllCNNC(dropout=math.nan), "dropout must be in .*, got nan"),
    (lambda: dm.VAE(dropout=1.0), "dropout must be in .*, got 1.0"),
    (lambda: dm.VAE(latent_size=0), "latent_size must be at least 1, got 0"),
    (lambda: dm.CharLSTM(dropout=2), "dropout must be in .*, got 2"),
    (lambda: dm.CharLSTM(0), "vocab_size must be at least 1, got 0"),
    (lambda: dm.InceptionV3(dropout=1.0), "dropout must be in .*, got 1.0"),
    (lambda: dm.InceptionV3(image_size=224), "299 to 346 with the auxiliary head, got 224"),
    (lambda: dm.InceptionV3(image_size=74, aux_head=False), "at least 75.* got 74"),
    (lambda: dm.Net3c3d(image_size=8), "image_size must be at least 9 for Net3c3d, got 8"),
    (lambda: dm.AllCNNC(image_size=8), "image_size must be at least 9 for AllCNNC, got 8"),
    (lambda: dm.Net2c2d(image_size=0), "image_size must be at least 1 for Net2c2d, got 0"),
    (lambda: dm.LogisticRegression(0), "num_classes must be at least 1, got 0"),
    (lambda: dm.MLP(hidden=(5, 0)), "hidden must be at least 1, got 0"),
    (lambda: dm.Quadratic(torch.ones(3)), r"square matrix .* got shape \(3,\)"),
    (lambda: dm.Quadratic(torch.eye(3, dtype=torch.int64)), "floating-point .* torch.int64"),
    (lambda: dm.Quadratic(torch.tensor([[1.0, 2.0], [0.0, 1.0]])), "must be symmetric"),
    (lambda: dm.SamePad2d(0), "kernel_size must be at least 1, got 0"),
    (lambda: dm.SameCrop2d(2, stride=3), "at most kernel_size .2., got 3"),
    (lambda: dm.same_max_pool2d(2, 1, input_size=8), "stride 1 and an even kernel"),
    (lambda: dm.LegacyBilinearResize(0), "size must be at least 1, got 0"),
    (lambda: dm.PreActResidualBlock(4, 4, 0), "stride must be at least 1, got 0"),
    (lambda: dm.truncated_normal_(torch.empty(3), -1.0), "finite and at least 0, got -1.0"),
    (lambda: dm.truncated_normal_(torch.empty(3), math.nan), "finite and at least 0, got nan"),
    (lambda: dm.truncated_normal_(torch.empty(3), math.inf), "finite and at least 0, got inf"),
    (lambda: dm.glorot_uniform_(torch.tensor(0.0)), "scalar has no fans"),
    (lambda: dm.CharGPT(heads=7), "heads must divide the width, got width 384 and 7 heads"),
    (lambda: dm.CharGPT(dropout=1.0), "dropout must be in .*, got 1.0"),
    (lambda: dm.ModularTransformer(heads=3), "heads must divide the width"),
    (lambda: dm.SignalConv(length=2), "length must be at least 3, got 2"),
    (lambda: dm.BurgersMLP(depth=0), "depth must be at least 1, got 0"),
    (lambda: dm.BurgersMLP(last=0.0), "last must be above 0, got 0.0"),
    (lambda: dm.LaplacianMLP(hidden=()), "hidden must be at least 1, got 0"),
    (lambda: dm.BigramTable(0), "vocab_size must be at least 1, got 0"),
]


@pytest.mark.parametrize(("construct", "message"), BAD_ARGUMENTS)
def test_bad_argument_is_named_at_construction(construct, message):
    with torch.device("cpu"), pytest.raises(ValueError, match=message):
        construct()


BAD_INPUTS = [
    ("logreg", {}, (2, 1, 27, 28), "takes 784 values per example"),
    ("mlp", {}, (784,), "The first dimension is the batch"),
    ("2c2d", {}, (2, 3, 28, 28), r"takes images \(B, 1, 28, 28\), got shape \(2, 3, 28, 28\)"),
    ("2c2d", {}, (2, 1, 32, 32), "built for images of 28x28, got 32x32"),
    ("3c3d", {}, (2, 32, 32, 3), "channels first"),
    ("3c3d", {}, (3, 32, 32), "in batches"),
    ("vgg16", {"num_classes": 2, "image_size": 32}, (2, 1, 32, 32), r"\(B, 3, H, W\)"),
    ("allcnnc", {}, (2, 3, 32, 31), "built for images of 32x32, got 32x31"),
    ("allcnnc", {}, (2, 1, 32, 32), r"takes images \(B, 3, 32, 32\)"),
    ("wrn164", {"num_classes": 2}, (2, 1, 32, 32), r"\(B, 3, H, W\)"),
    ("inception_v3", {"num_classes": 2, "aux_head": False}, (2, 1, 9, 9), r"\(B, 3, H, W\)"),
    ("vae", {}, (2, 1, 32, 32), "built for images of 28x28"),
    ("char_lstm", {}, (2, 50), "integer type, got shape .2, 50. of torch.float32"),
    ("char_lstm", {}, (50,), r"characters \(B, T\)"),
    ("quadratic", {"hessian": torch.eye(3)}, (2, 4), r"points \(B, 3\), got shape \(2, 4\)"),
    ("beale", {}, (2,), r"Beale takes noise \(B, 2\), got shape \(2,\)"),
    ("noisy_quadratic", {}, (2, 9), r"noise \(B, 1000\), got shape \(2, 9\)"),
    ("char_gpt_small", {}, (2, 64), "integer type, got shape .2, 64. of torch.float32"),
    ("signal_gru", {}, (2, 39), "takes 40 values per example"),
    ("bigram_table", {}, (2,), r"tokens \(B,\) of an integer type"),
    ("low_rank_bigram", {}, (2, 2), r"LowRankBigram takes tokens \(B,\)"),
    ("modular_transformer", {}, (2, 3), r"tokens \(B, 3\) of an integer type"),
]


@pytest.mark.parametrize(("name", "kwargs", "shape", "message"), BAD_INPUTS)
def test_bad_input_is_named_at_first_use(name, kwargs, shape, message):
    model = dm.create_model(name, **kwargs)
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(shape))


TEST_FUNCTIONS = [
    lambda: dm.Quadratic(torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]])),
    dm.Rosenbrock,
    dm.Beale,
    dm.Branin,
]


@pytest.mark.parametrize("construct", TEST_FUNCTIONS)
def test_a_test_function_at_many_points_at_once(construct):
    model = construct().double()
    size = 3 if isinstance(model, dm.Quadratic) else 2
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, size, generator=random, dtype=torch.float64)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    points = {
        name: torch.randn(4, *shape, generator=random, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    stacked = {name: values.unsqueeze(1) for name, values in points.items()}
    got = torch.func.functional_call(model, stacked, (inputs.unsqueeze(0),))  # (4, 5)
    for number in range(4):
        own = {name: values[number] for name, values in points.items()}
        expected = torch.func.functional_call(model, own, (inputs,))
        torch.testing.assert_close(got[number], expected, rtol=1e-12, atol=1e-12)
    assert len(set(got.flatten().tolist())) == 20


INTEGER_INPUTS = [
    ("logreg", {}, (2, 1, 28, 28), "LogisticRegression takes examples"),
    ("mlp", {}, (2, 784), "MLP takes examples"),
    ("2c2d", {}, (2, 1, 28, 28), "Net2c2d takes images"),
    ("3c3d", {}, (2, 3, 32, 32), "Net3c3d takes images"),
    ("vgg16", {"num_classes": 2, "image_size": 32}, (2, 3, 40, 40), "VGG takes images"),
    ("allcnnc", {}, (2, 3, 32, 32), "AllCNNC takes images"),
    ("wrn164", {"num_classes": 2}, (2, 3, 32, 32), "WideResNet takes images"),
    ("inception_v3", {"num_classes": 2}, (2, 3, 32, 32), "InceptionV3 takes images"),
    ("vae", {}, (2, 1, 28, 28), "VAE takes images"),
]


@pytest.mark.parametrize(("name", "kwargs", "shape", "message"), INTEGER_INPUTS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_integers_are_refused_where_floating_point_is_needed(name, kwargs, shape, message, dtype):
    model = build_on_meta(name, **kwargs)
    x = torch.zeros(shape, dtype=dtype, device="meta")
    with pytest.raises(ValueError, match=rf"{message} of a floating-point type, got {dtype}\."):
        model(x)


@pytest.mark.parametrize("shape", [(2, 1, 40, 40), (2, 40, 40, 3), (3, 40, 40)])
@pytest.mark.parametrize("name", ["vgg16", "vgg19", "inception_v3"])
def test_wrong_channels_are_named_before_resizing(name, shape):
    model = build_on_meta(name, num_classes=2)
    resized = []
    model.resize.register_forward_hook(lambda *_: resized.append(True))
    with pytest.raises(ValueError, match=r"takes images \(B, 3, H, W\), got shape"):
        model(torch.zeros(shape, device="meta"))
    assert not resized
    model(torch.zeros(2, 3, 40, 40, device="meta"))  # the hook above does see a resize
    assert resized


NO_AUX = {"aux_head": False}


@pytest.mark.parametrize(
    ("kwargs", "aux", "where"),
    [
        ({}, None, "auxiliary head"),
        ({"image_size": 346}, None, "auxiliary head"),
        ({}, False, None),
        (NO_AUX, None, None),
        (NO_AUX | {"image_size": 75}, None, "last blocks"),
        (NO_AUX | {"image_size": 106}, None, "last blocks"),
        (NO_AUX | {"image_size": 107}, None, None),
    ],
)
def test_inception_trains_on_two_images_where_batch_norm_sees_one_position(kwargs, aux, where):
    model = build_on_meta("inception_v3", num_classes=2, **kwargs)
    x = torch.zeros(2, 3, 8, 8, device="meta")
    if where is None:
        model(x[:1], aux=aux)
    else:
        with pytest.raises(ValueError, match=f"at least 2 images, got 1: the .* of the {where}"):
            model(x[:1], aux=aux)
        part = model.aux_head if where == "auxiliary head" else model.last
        part.eval()  # statistics that are frozen take one image
        model(x[:1], aux=aux)
        part.train()
    model(x, aux=aux)
    model.eval()(x[:1], aux=True)


def test_noise_of_the_vae_must_fit():
    with pytest.raises(ValueError, match=r"noise of VAE must have shape \(2, 8\), got \(2, 9\)"):
        dm.VAE()(torch.zeros(2, 1, 28, 28), noise=torch.zeros(2, 9))
