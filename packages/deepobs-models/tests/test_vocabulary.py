"""timm's vocabulary: features and heads, new classifiers, checkpointing, names and arguments."""

import inspect
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import deepobs_models as dm

# Networks that classify images, with arguments that make them small, and the size of an image.
SMALL = {
    "logreg": ({}, (1, 28, 28)),
    "mlp": ({"hidden": (30, 20)}, (1, 28, 28)),
    "2c2d": ({}, (1, 28, 28)),
    "3c3d": ({}, (3, 32, 32)),
    "allcnnc": ({}, (3, 32, 32)),
    "vgg11_bn": ({"image_size": 32}, (3, 20, 24)),
    "wrn": ({"depth": 10, "widen_factor": 1, "dropout": 0.3}, (3, 16, 15)),
    "inception_v3": ({"image_size": 75, "aux_head": False}, (3, 32, 32)),
}


def build(name: str, **kwargs) -> nn.Module:
    torch.manual_seed(0)
    return dm.create_model(name, **{"num_classes": 5, **SMALL[name][0], **kwargs})


def images(name: str, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, *SMALL[name][1], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SMALL)
def test_head_of_features_is_the_network(name):
    model, x = build(name).eval(), images(name)
    with torch.no_grad():
        features = model.forward_features(x)
        logits = model.forward_head(features)
        inner = model.forward_head(features, pre_logits=True)
        assert torch.equal(logits, model(x))
    assert logits.shape == (2, 5)
    assert inner.shape == (2, model.num_features)
    assert model.num_classes == 5


@pytest.mark.parametrize("name", SMALL)
def test_classifier_is_replaced(name):
    model, x = build(name).eval(), images(name)
    classifier = model.get_classifier()
    keys = list(model.state_dict())
    assert classifier.weight.shape[:2] == (5, model.num_features)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    model.double().reset_classifier(7)
    fresh = model.get_classifier()
    assert list(model.state_dict()) == keys
    assert fresh.weight.shape[:2] == (7, model.num_features)
    assert fresh.weight.dtype == torch.float64
    assert type(fresh) is type(classifier)
    drawn = fresh.weight.clone()
    torch.manual_seed(1)
    fresh.reset_parameters()
    assert torch.equal(fresh.weight, drawn)
    changed = {key for key in keys if before[key].shape != model.state_dict()[key].shape}
    assert changed == {f"{model.classifier_name}.{part}" for part in ("weight", "bias")}
    with torch.no_grad():
        assert model(x.double()).shape == (2, 7)
        model.reset_classifier(0)
        features = model.forward_features(x.double())
        assert torch.equal(model(x.double()), model.forward_head(features, pre_logits=True))
    assert model.num_classes == 0
    model.reset_classifier(3)
    assert model.get_classifier().weight.shape[0] == 3
    with pytest.raises(ValueError, match="num_classes must be at least 0, got -1"):
        model.reset_classifier(-1)


def test_both_classifiers_of_inception_are_replaced():
    with torch.device("meta"):
        model = dm.InceptionV3(10)
    model.reset_classifier(7)
    logits, aux_logits = model(torch.zeros(2, 3, 9, 9, device="meta"))
    assert logits.shape == aux_logits.shape == (2, 7)


def test_vocabulary_of_the_character_model():
    model = dm.create_model("char_lstm", num_classes=11, hidden_size=6).eval()
    x = torch.randint(0, 11, (2, 4))
    features, state = model.forward_features(x)
    logits, same = model(x)
    assert torch.equal(model.forward_head(features), logits)
    assert torch.equal(state[1][0], same[1][0])
    assert features.shape == (2, 4, 6)
    assert model.num_features == 6
    model.reset_classifier(3)
    assert model(x)[0].shape == (2, 4, 3)
    assert model.get_classifier() is model.dense


@pytest.mark.parametrize("kwargs", [{}, {"in_channels": 3, "image_size": (8, 12)}])
def test_features_and_images_of_the_vae(kwargs):
    model = dm.VAE(4, **kwargs).eval()
    channels, size = kwargs.get("in_channels", 1), kwargs.get("image_size", (28, 28))
    x, noise = torch.rand(2, channels, *size), torch.zeros(2, 4)
    features = model.forward_features(x)
    assert features.shape == (2, model.num_features)
    output = model(x, noise)
    assert torch.equal(model.forward_head(features, noise).reconstruction, output.reconstruction)
    assert output.reconstruction.shape == x.shape


@pytest.mark.parametrize("name", ["vae", *SMALL])
def test_feature_info_is_true(name):
    model = dm.VAE() if name == "vae" else build(name)
    x = torch.rand(2, 1, 28, 28) if name == "vae" else images(name)
    size = getattr(model, "image_size", None) or x.shape[2:]
    seen = {}
    for info in model.feature_info:
        layer = model.get_submodule(info["module"])
        layer.register_forward_hook(lambda _, __, out, key=info["module"]: seen.update({key: out}))
    with torch.no_grad():
        model.eval()(x)
    assert list(seen) == [info["module"] for info in model.feature_info]  # in order
    for info in model.feature_info:
        output = seen[info["module"]]
        assert output.shape[1] == info["num_chs"]
        for side, whole in zip(output.shape[2:], size, strict=False):
            # Unpadded layers lose a few rows.
            assert 0.5 * whole / info["reduction"] - 2 < side <= -(-whole // info["reduction"])
    assert bool(model.feature_info) == (name != "logreg")


def test_torchvision_extracts_the_features():
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    for name in ("3c3d", "wrn", "inception_v3"):
        model, x = build(name).eval(), images(name)
        modules = [info["module"] for info in model.feature_info]
        found = extraction.create_feature_extractor(model, modules)(x)
        channels = [info["num_chs"] for info in model.feature_info]
        assert [found[module].shape[1] for module in modules] == channels
        with pytest.raises(ValueError, match="channels first"):
            extraction.create_feature_extractor(model, modules)(x.mT.permute(0, 3, 2, 1))


# ---------------------------------------------------------------------------------- checkpointing


def step(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return gradients and statistics after a step in training mode, under a seed."""
    model.train().zero_grad()
    torch.manual_seed(2)
    F.cross_entropy(model(x), torch.arange(len(x))).backward()
    gradients = {f"grad {name}": p.grad.clone() for name, p in model.named_parameters()}
    return gradients | {name: b.clone() for name, b in model.named_buffers()}


@pytest.mark.parametrize("name", SMALL)
def test_checkpointing_changes_no_number(name):
    x = images(name, batch=3)
    plain, checkpointed = build(name), build(name)
    checkpointed.set_grad_checkpointing()
    kept = {"plain": 0, "checkpointed": 0}

    def measured(key, model):
        def pack(tensor):
            if tensor.grad_fn is not None:  # no parameter
                kept[key] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            return step(model, x)

    expected = measured("plain", plain)
    actual = measured("checkpointed", checkpointed)
    assert list(actual) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(actual[key], value, rtol=1e-6, atol=1e-7, msg=key)
    if name != "logreg":
        assert kept["checkpointed"] < kept["plain"]
    checkpointed.set_grad_checkpointing(False)
    again = step(checkpointed, x)
    assert all(torch.isfinite(value).all() for value in again.values())
    with torch.no_grad():
        checkpointed.set_grad_checkpointing()
        assert torch.equal(checkpointed.eval()(x), checkpointed.forward(x))


# ------------------------------------------------------------------------------ images of any shape

NOT_SQUARE = [
    ("logreg", (28, 14)),
    ("mlp", (7, 5)),
    ("2c2d", (9, 14)),
    ("3c3d", (9, 21)),
    ("allcnnc", (9, 20)),
    ("vgg11", (32, 64)),
    ("wrn", (9, 4)),
    ("inception_v3", (75, 107)),
    ("vae", (8, 12)),
]


@pytest.mark.parametrize(("name", "size"), NOT_SQUARE)
def test_images_that_are_not_square(name, size):
    small = {"hidden": (3,)} if name == "mlp" else {}
    small |= {"aux_head": False} if name == "inception_v3" else {}
    with torch.device("meta"):
        model = dm.create_model(name, in_chans=2, image_size=size, **small).eval()
        output = model(torch.zeros(3, 2, *size))
    assert (output if isinstance(output, torch.Tensor) else output[0]).shape[0] == 3
    if name in ("2c2d", "3c3d", "allcnnc", "wrn", "vae"):
        height, width = size
        with pytest.raises(ValueError, match=f"images of {height}x{width}, got {width}x{height}"):
            model(torch.zeros(3, 2, width, height, device="meta"))
    if name.startswith(("vgg", "inception")):  # resized
        model(torch.zeros(3, 2, 5, 9, device="meta"))


# --------------------------------------------------------------------------------- names, arguments


def test_patterns_of_names():
    assert dm.list_models("VGG1?") == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert dm.list_models(["wrn*", "mlp"]) == ["mlp", "wrn", "wrn164", "wrn404", "wrn2810"]
    assert dm.list_models("resnet*") == []
    assert set(dm.list_models("vgg*")) < set(dm.list_models())


@pytest.mark.parametrize(
    ("name", "close"),
    [("VGG16", "vgg16"), ("wrn-164", "wrn164"), ("Inception_V3", "inception_v3"), ("MLP", "mlp")],
)
def test_suggestions_whatever_the_case(name, close):
    with pytest.raises(ValueError, match=f"Unknown model '{name}'. Did you mean '{close}'?"):
        dm.create_model(name)


OF_IMAGES = ["logreg", "mlp", "2c2d", "3c3d", "vgg*", "allcnnc", "wrn*", "inception_v3"]


@pytest.mark.parametrize("name", dm.list_models(OF_IMAGES))
def test_every_classifier_of_images_is_built_the_same_way(name):
    size = 299 if name == "inception_v3" else 32
    with torch.device("meta"):
        model = dm.create_model(name, num_classes=3, in_chans=2, img_size=size).eval()
        assert model.num_classes == 3
        assert model(torch.zeros(2, 2, size, size)).shape == (2, 3)


@pytest.mark.parametrize("name", dm.list_models())
def test_every_model_has_defaults_and_names_its_arguments(name):
    with torch.device("meta"):
        assert isinstance(dm.create_model(name), nn.Module)
    with pytest.raises(TypeError, match=f"{name} takes no argument 'num_clases'.*There are: "):
        dm.create_model(name, num_clases=3)


def test_unknown_argument_is_answered_with_the_closest():
    with pytest.raises(TypeError, match=r"no argument 'DropOut'\. Did you mean 'dropout'\?"):
        dm.create_model("allcnnc", DropOut=0.1)
    with pytest.raises(TypeError, match="vae takes no argument 'num_classes'"):
        dm.create_model("vae", num_classes=3)
    assert dm.create_model("allcnnc", drop_rate=0.1).dropout2.p == 0.1


@pytest.mark.parametrize("name", dm.list_models())
def test_public_networks_document_all_their_arguments(name):
    with torch.device("meta"):
        network = type(dm.create_model(name))
    described = inspect.getdoc(network)
    for argument in inspect.signature(network).parameters:
        assert f"\n    {argument}: " in described, argument


def test_dropout_of_a_wide_resnet_is_between_the_convolutions():
    torch.manual_seed(0)
    block = dm.PreActResidualBlock(4, 4, dropout=0.5).train()
    seen = []
    block.conv2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    block.norm2.bias.data.fill_(100.0)  # no zero is left by the ReLU
    block(torch.rand(2, 4, 8, 8))
    assert seen[0].eq(0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        dm.WideResNet(10, 1, dropout=1)


def test_batch_norm_follows_each_convolution_of_a_vgg():
    with torch.device("meta"):
        layers = list(dm.VGG(13, batch_norm=True))
    for layer, after in itertools.pairwise(layers):
        assert isinstance(layer, nn.Conv2d) == isinstance(after, nn.BatchNorm2d)


@pytest.mark.parametrize("name", [*SMALL, "char_lstm", "signal_conv"])
def test_zero_classes_leave_out_the_classifier(name):
    small = SMALL[name][0] if name in SMALL else {}
    with torch.device("meta"):
        model = dm.create_model(name, num_classes=0, **small)
        x = torch.zeros(2, *SMALL[name][1]) if name in SMALL else torch.zeros(2, 40)
        output = model.eval()(x.long() if name == "char_lstm" else x)
    output = output if isinstance(output, torch.Tensor) else output[0]
    assert output.shape[-1] == model.num_features
    assert model.num_classes == 0
    assert isinstance(model.get_classifier(), nn.Identity)


def test_zero_classes_without_a_classifier_are_refused():
    with pytest.raises(ValueError, match="char_gpt_small has no classifier to leave out"):
        dm.create_model("char_gpt_small", num_classes=0)
    with pytest.raises(TypeError, match="vae takes no argument 'num_classes'"):
        dm.create_model("vae", num_classes=0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("pretrained", True, "3c3d has no pretrained weights"),
        ("features_only", True, "Leave out features_only, and hook the modules in feature_info"),
        ("global_pool", "avg", "3c3d has a fixed pooling"),
        ("global_pool", "", "3c3d has a fixed pooling"),
    ],
)
def test_options_of_timm_that_are_not_supported(option, value, message):
    with torch.device("meta"):
        assert isinstance(dm.create_model("3c3d", **{option: None}), dm.Net3c3d)
        with pytest.raises(ValueError, match=message):
            dm.create_model("3c3d", **{option: value})
        dm.create_model("3c3d", pretrained=False, features_only=False)


def test_new_classifier_keeps_the_pooling():
    for model in (dm.WideResNet(10, 1, device="meta"), dm.InceptionV3(device="meta")):
        model.reset_classifier(5, global_pool=None)
        with pytest.raises(ValueError, match=f"^{type(model).__name__} has a fixed pooling.*'avg'"):
            model.reset_classifier(5, global_pool="avg")
        with pytest.raises(TypeError, match=r"num_classes must be an integer, got 2\.5\."):
            model.reset_classifier(2.5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("3c3d", {"num_classes": 2.5}, r"num_classes must be an integer, got 2\.5\."),
        ("char_lstm", {"num_classes": 2.5}, r"vocab_size must be an integer, got 2\.5\."),
        ("allcnnc", {"in_chans": "3"}, "in_channels must be an integer, got '3'"),
        ("2c2d", {"image_size": 28.0}, r"image_size must be an integer, got 28\.0\."),
        ("mlp", {"image_size": (28, 14.5)}, r"image_size must be an integer, got 14\.5\."),
    ],
)
def test_sizes_are_integers(name, arguments, message):
    with pytest.raises(TypeError, match=message):
        dm.create_model(name, device="meta", **arguments)
