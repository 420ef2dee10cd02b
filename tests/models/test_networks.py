"""The parts of the network and their composition."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.models.backbone import Normalize
from textspot.models.choice import Choice
from textspot.models.convolution import BasicBlock
from textspot.models.crnn import RecurrentConfig, RecurrentRecognizer
from textspot.models.fcr import FullyConvolutionalRecognizer
from textspot.models.neck import NeckConfig, TopDownNeck
from textspot.models.recognizer import BLANK_BIAS, RecognizerConfig
from textspot.models.slim_resnet import SlimResNetConfig
from textspot.models.spotting_network import BACKBONES, RECOGNIZERS, ModelConfig, SpottingNetwork, build_network
from textspot.models.text_pooling import RoiConfig
from textspot.models.torchvision_backbones import ImageNetConfig
from textspot.models.vit import VitConfig

SIZE = (64, 96)
WORDS = torch.tensor(
    np.array([[quad_to_ribbon(box_to_quad([8 + 4 * b, y, 70, y + 14])) for y in (4, 24, 44)] for b in range(4)])
)


def build_images(count: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SlimResNetConfig(blocks=(2, 0, 2, 2)), r"slim_resnet has widths .* and blocks \(2, 0, 2, 2\)"),
        (lambda: ModelConfig(Choice("vgg19")), "model.backbone.kind is 'vgg19', expected one of slim_resnet"),
        (
            lambda: ModelConfig(Choice("vit", SlimResNetConfig())),
            "kind is vit, which VitConfig sets, not Slim",
        ),
        (lambda: VitConfig(width=48, heads=5), "width 48, depth 6 and 5 heads"),
        (lambda: VitConfig(width=20, heads=5), "a width that 8 and the number of heads divide"),
        (lambda: RecurrentConfig(context_layers=0), "context_layers is 0, expected at least 1"),
        (lambda: RecognizerConfig(blocks=(0, -1, 0)), r"blocks \(0, -1, 0\), context_blocks 3 and context_layers 2"),
        (lambda: RecognizerConfig(context_kernel=4), "context_kernel of model.recognizer is 4, expected an odd number"),
        (
            lambda: ModelConfig(roi=Choice("stretched", RoiConfig(height=16))),
            r"stretched.height is 16, .* takes 8 rows",
        ),
        (lambda: RoiConfig(taps=(2, 2)), r"model.roi.taps is \(2, 2\), expected every stride once"),
        (
            lambda: ModelConfig(roi=Choice("stretched", RoiConfig(width=33))),
            "stretched.width is 33, expected a multiple",
        ),
    ],
)
def test_settings_that_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("kind", BACKBONES)
def test_every_backbone_gives_strides_2_to_32(kind):
    with torch.device("meta"):
        small = {"slim_resnet": SlimResNetConfig((4, 8, 12, 16), (1, 2, 1, 1)), "vit": VitConfig(16, 2, 2)}
        backbone = BACKBONES[kind](small.get(kind, ImageNetConfig()))
        maps = backbone(torch.rand(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, (2, 4, 8, 16, 32), strict=True)
    ]
    of_any_size = {"AdaptiveAvgPool2d"} if kind == "vit" else {"AdaptiveAvgPool2d", "Linear"}
    assert {type(module).__name__ for module in backbone.modules()}.isdisjoint(of_any_size)


def test_the_slim_resnet_has_the_widths_and_depths_it_is_told():
    backbone = BACKBONES["slim_resnet"](SlimResNetConfig(widths=(4, 8, 12, 20), blocks=(1, 2, 3, 1)))
    assert backbone.channels == (2, 4, 8, 12, 20)
    assert [len(stage) for stage in backbone.stages] == [1, 2, 3, 1]


@pytest.mark.parametrize("kind", [kind for kind in BACKBONES if kind not in ("vgg16_bn", "vit")])
def test_every_block_starts_as_the_identity(kind):
    torch.manual_seed(0)
    block = BACKBONES[kind](BACKBONES[kind].Config()).stages[0][1]
    features = torch.rand(2, block.conv1.in_channels, 8, 8)
    assert torch.equal(block(features.clone()), features)


def test_normalize_takes_the_mean_and_divides():
    normalize = Normalize((100.0, 110.0, 120.0), (10.0, 20.0, 40.0))
    image = torch.tensor([120, 90, 200], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalize(image).flatten().tolist() == [2, -1, 2]
    assert normalize(image.float()).flatten().tolist() == [2, -1, 2]


@pytest.mark.parametrize("smooth_finest", [True, False])
def test_the_neck_lets_every_level_reach_the_finest_map(smooth_finest):
    torch.manual_seed(0)
    maps = [torch.rand(1, 4 + level, 16 >> level, 16 >> level, requires_grad=True) for level in range(4)]
    merged = TopDownNeck((4, 5, 6, 7), NeckConfig(8, smooth_finest)).eval()(maps)
    assert merged.shape == (1, 8, 16, 16)
    merged.sum().backward()
    assert all(level.grad.abs().sum() > 0 for level in maps)


@pytest.mark.parametrize("num_regions", [1, 3])
@pytest.mark.parametrize(
    ("kind", "context_layers", "kernel"),
    [("fcr", 0, 1), ("fcr", 1, 3), ("fcr", 3, 7), ("crnn", 1, 1), ("crnn", 2, 5)],
)
def test_the_recogniser_halves_the_width(kind, num_regions, context_layers, kernel):
    config = RECOGNIZERS[kind].Config((8, 8, 12, 16), (1, 1, 1), context_layers, kernel)
    logits = RECOGNIZERS[kind](config, 6, 5)(torch.rand(num_regions, 6, 8, 20))
    assert logits.shape == (num_regions, 10, 5)
    assert logits.dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_new_blocks_leave_what_is_read(kind):
    """They are there, two, none and one of them, and with convolutions along the line two more; each is an identity
    until it is trained."""
    torch.manual_seed(0)
    along = 2 if kind == "fcr" else 0
    config = RECOGNIZERS[kind].Config((8, 8, 12, 16), blocks=(0, 0, 0), context_blocks=0)
    plain = RECOGNIZERS[kind](config, 6, 5).eval()
    deep = RECOGNIZERS[kind](replace(config, blocks=(2, 0, 1), context_blocks=along), 6, 5).eval()
    assert sum(isinstance(module, BasicBlock) for module in deep.modules()) == 3 + along
    deep.load_state_dict(plain.state_dict(), strict=False)
    patches = torch.rand(2, 6, 8, 20)
    assert torch.equal(deep(patches), plain(patches))
    for block in [module for module in deep.modules() if isinstance(module, BasicBlock)]:
        nn.init.ones_(block.bn2.weight)
        assert not torch.equal(deep(patches), plain(patches))
        nn.init.zeros_(block.bn2.weight)


def test_a_look_at_the_image_begins_as_nothing_and_learns():
    torch.manual_seed(0)
    reader = RECOGNIZERS["fcr"](RecognizerConfig((8, 8, 12, 16)), 8, 5, {1: 3})
    patches, image = torch.rand(2, 8, 8, 20), torch.rand(2, 3, 32, 80)
    logits = reader(patches, image)
    torch.testing.assert_close(logits, reader(patches, torch.rand(2, 3, 32, 80)))
    logits.square().sum().backward()
    assert reader.taps["1"][-1].weight.grad.abs().min() > 0


@torch.no_grad()
def test_the_reader_looks_at_finer_maps_if_it_is_told_to(build_tiny):
    network = build_tiny().eval()
    nn.init.ones_(network.recognizer.taps["1"][-1].weight)
    features, _ = network.detect(build_images())
    for number in range(2):
        finer = list(features.finer)
        finer[number] = finer[number].roll(7, dims=3)
        changed = features._replace(finer=tuple(finer))
        assert not torch.equal(network.read(changed, WORDS), network.read(features, WORDS))
    blind = build_tiny(roi=Choice("stretched", RoiConfig(width=16, taps=()))).eval()
    assert blind.detect(build_images())[0].finer == ()


def test_a_new_recogniser_favours_the_blank():
    torch.manual_seed(0)
    recognizer = FullyConvolutionalRecognizer(RecognizerConfig((8, 8, 12, 16)), 6, 5).eval()
    logits = recognizer(torch.zeros(1, 6, 8, 20)).detach()
    assert (logits[..., 0] - logits[..., 1:].max(dim=2).values).mean() == pytest.approx(BLANK_BIAS, abs=0.5)


@pytest.mark.parametrize("kind", RECOGNIZERS)
@pytest.mark.parametrize("training", [True, False])
def test_no_region_gives_no_logits(kind, training):
    recognizer = RECOGNIZERS[kind](RECOGNIZERS[kind].Config((8, 8, 12, 16)), 6, 5).train(training)
    assert recognizer(torch.zeros(0, 6, 8, 20)).shape == (0, 10, 5)


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_without_regions_every_parameter_of_the_recogniser_has_a_zero_gradient(kind):
    """DistributedDataParallel waits for ever for a parameter that took no part."""
    recognizer = RECOGNIZERS[kind](RECOGNIZERS[kind].Config((8, 8, 12, 16)), 6, 5).train()
    before = {name: values.clone() for name, values in recognizer.state_dict().items()}
    patches = torch.zeros(0, 6, 8, 20, requires_grad=True)
    recognizer(patches).sum().backward()
    assert patches.grad.shape == patches.shape
    for parameter in recognizer.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()
    for name, values in recognizer.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_every_parameter_learns_from_one_image_without_text(build_tiny):
    network = build_tiny().train()
    output = network(build_images(1), torch.zeros(1, 1, 2, 4, 2), torch.zeros(0, dtype=torch.int64))
    assert output.text_logits.shape == (0, 8, 5)
    (output.maps.score_logits.sum() + output.maps.geometry.sum() + output.text_logits.sum()).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def count_calls(module: nn.Module, run: Callable[[], object]) -> dict[str, int]:
    """How often each module that holds no others is called in `run`."""
    leaves = {name: child for name, child in module.named_modules() if not list(child.children())}
    calls = dict.fromkeys(leaves, 0)

    def count(name: str) -> None:
        calls[name] += 1

    for name, child in leaves.items():
        child.register_forward_hook(lambda *_, name=name: count(name))
    run()
    return calls


@pytest.mark.parametrize("kind", BACKBONES)
def test_every_module_of_a_backbone_is_called_once(kind):
    """One called twice would show a quantiser's observer two distributions."""
    with torch.device("meta"):
        backbone = BACKBONES[kind](BACKBONES[kind].Config())
        calls = count_calls(backbone, lambda: backbone(torch.rand(1, 3, 64, 64)))
    assert len(calls) > 30
    computed_by_their_parent = {name for name in calls if name.endswith("self_attention.out_proj")}
    assert len(computed_by_their_parent) == (VitConfig().depth if kind == "vit" else 0)
    assert {calls[name] for name in calls.keys() - computed_by_their_parent} == {1}


@pytest.mark.parametrize("method", ["forward", "spot"])
def test_every_module_of_the_network_is_called_once(build_tiny, method):
    network = build_tiny().eval()
    arguments = {"forward": (build_images(), WORDS, torch.arange(3)), "spot": (build_images(), 0.0, 3)}[method]
    calls = count_calls(network, lambda: getattr(network, method)(*arguments))
    assert set(calls.values()) == {1}


@torch.no_grad()
def test_regions_are_read_in_the_order_they_are_asked_for(build_tiny):
    network = build_tiny().eval()
    everything = network(build_images(), WORDS, torch.arange(12)).text_logits
    some = network(build_images(), WORDS, torch.tensor([7, 2, 11])).text_logits
    np.testing.assert_allclose(some, everything[[7, 2, 11]], atol=1e-5)
    assert (everything[0] - everything[1]).abs().max() > 1e-3


@torch.no_grad()
def test_training_and_inference_read_the_same_from_the_same_ribbons(build_tiny):
    network = build_tiny().eval()
    spots = network.spot(build_images(), 0.0, 3, 3)
    output = network(build_images(), spots.ribbons, torch.arange(12))
    assert spots.ribbons.shape == (4, 3, 2, 4, 2)
    assert spots.scores.shape == (4, 3)
    np.testing.assert_allclose(spots.text_logits.flatten(0, 1), output.text_logits, atol=1e-5)
    features, maps = network.detect(build_images())
    np.testing.assert_allclose(output.maps.score_logits, maps.score_logits, atol=1e-5)
    np.testing.assert_allclose(network.read(features, spots.ribbons), spots.text_logits, atol=1e-5)


@torch.no_grad()
def test_a_batch_gives_what_its_images_give_one_by_one(build_tiny):
    network = build_tiny().eval()
    together = network.spot(build_images(), 0.0, 5, 5)
    alone = [network.spot(image[None], 0.0, 5, 5) for image in build_images()]
    for name in ("ribbons", "scores", "text_logits"):
        single = torch.cat([getattr(spots, name) for spots in alone])
        np.testing.assert_allclose(getattr(together, name), single, atol=1e-4, err_msg=name)


@torch.no_grad()
def test_no_regions_give_no_text(build_tiny):
    spots = build_tiny().eval().spot(build_images(), 0.0, 0, 0)
    assert [tuple(part.shape) for part in spots] == [(4, 0, 2, 4, 2), (4, 0), (4, 0, 8, 5)]


@torch.no_grad()
def test_bytes_and_floats_are_the_same_image(build_tiny):
    network = build_tiny().eval()
    for one, other in zip(
        network.spot(build_images(), 0.0, 3, 3), network.spot(build_images().float(), 0.0, 3, 3), strict=True
    ):
        assert torch.equal(one, other)


def test_more_regions_than_cells_is_an_error_of_the_runtime(build_tiny):
    with pytest.raises(RuntimeError, match="Expected cond to be True"):
        build_tiny().eval().spot(build_images(1), 0.0, 16 * 24 + 1, 16 * 24 + 1)


def test_the_sampling_grid_is_not_part_of_the_weights(build_tiny):
    names = build_tiny().state_dict().keys()
    assert not [name for name in names if name.startswith("roi")]
    assert {"normalize.mean", "normalize.std"} <= names


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_maps_and_logits_are_float32(build_tiny, precision):
    network = build_tiny().train()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        output = network(build_images(2), WORDS[:2], torch.tensor([0, 4]))
    tensors = (*output.maps, output.text_logits)
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    sum(tensor.square().mean() for tensor in tensors).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_every_weight_is_trained_by_words(build_tiny):
    network = build_tiny().train()
    output = network(build_images(2), WORDS[:2], torch.tensor([0, 4]))
    torch.manual_seed(0)
    sum((torch.randn_like(tensor) * tensor).sum() for tensor in (*output.maps, output.text_logits)).backward()
    silent = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]
    assert silent == []


def test_no_normalisation_but_batch_norm(build_tiny):
    """InstanceNorm, for one, sees at inference how wide a patch is."""
    norms = {type(module) for module in build_tiny().modules() if isinstance(module, nn.modules.batchnorm._NormBase)}
    assert norms == {nn.BatchNorm2d}


@pytest.mark.parametrize("num_classes", [37, 97, 5000])
@pytest.mark.parametrize("config", [RecognizerConfig(), RecognizerConfig((32, 48, 64, 96), (1, 1, 1), 1, 7)])
def test_both_recognisers_have_as_many_parameters(config, num_classes):
    """CRNN has within 1 % of those of FCR, classifier included: the comparison is of their kinds."""
    fcr, crnn = (
        sum(parameter.numel() for parameter in kind(config, 64, num_classes).parameters())
        for kind in (FullyConvolutionalRecognizer, RecurrentRecognizer)
    )
    assert crnn / fcr == pytest.approx(1, abs=0.01)


def test_crnn_looks_along_the_whole_line():
    """FCR sees some columns to both sides; that is all in which they differ."""
    patches = torch.rand(1, 6, 8, 64, generator=torch.Generator().manual_seed(0))
    changed = patches.clone()
    changed[..., 63] += 5
    for kind, expected in (("fcr", False), ("crnn", True)):
        torch.manual_seed(0)
        recognizer = RECOGNIZERS[kind](RECOGNIZERS[kind].Config((8, 8, 12, 16)), 6, 5).eval()
        assert bool((recognizer(patches) - recognizer(changed))[0, 0].any()) == expected, kind


def build_separate() -> SpottingNetwork:
    torch.manual_seed(0)
    backbone = Choice("slim_resnet", SlimResNetConfig((4, 6, 8, 10), (1, 1, 1, 1)))
    recognizer = Choice("fcr", RecognizerConfig((8, 8, 12, 16)))
    roi = Choice("stretched", RoiConfig(width=16, taps=(2, 1)))
    config = ModelConfig(backbone, NeckConfig(8), roi, recognizer, shared=False)
    return build_network(config, 5, mean=(120, 110, 100), std=(60, 58, 56))


@pytest.mark.parametrize(
    ("learns", "parts"),
    [("detector", {"detector", "backbone", "neck"}), ("recognizer", {"recognizer", "reading_trunk"})],
)
def test_separate_heads_share_no_weight(learns, parts):
    network = build_separate().train()
    output = network(build_images(2), WORDS[:2], torch.tensor([0, 4]))
    outputs = {"detector": output.maps, "recognizer": [output.text_logits]}[learns]
    sum(tensor.square().sum() for tensor in outputs).backward()
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None} == parts
    assert all(p.grad is not None for name, p in network.named_parameters() if name.split(".")[0] in parts)


@torch.no_grad()
def test_separate_heads_read_from_features_of_their_own():
    network = build_separate().eval()
    features, maps = network.detect(build_images())
    normalized = network.normalize(build_images())
    (_, *shared_levels), (backbone, neck) = network.backbone(normalized), network.reading_trunk
    shared, (fine, *others) = network.neck(shared_levels), backbone(normalized)
    np.testing.assert_allclose(features.reading, neck(others), atol=1e-5)
    np.testing.assert_allclose(features.finer[0], fine, atol=1e-5)
    assert torch.equal(features.finer[1], normalized)
    np.testing.assert_allclose(network.detector(shared).score_logits, maps.score_logits, atol=1e-5)
    assert (features.reading - shared).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("vgg16_bn", "features.0.weight"), ("resnet18", "conv1.weight")])
def test_imagenet_weights_are_fetched_where_training_starts_and_nowhere_else(kind, name, monkeypatch):
    torch.manual_seed(0)
    given = torchvision.models.get_model(kind).state_dict()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *_, **__: given)
    config = ModelConfig(Choice(kind, ImageNetConfig(pretrained=True)), shared=False)
    settings = (config, 5, (120, 110, 100), (60, 58, 56))
    network = build_network(*settings, pretrained=True)
    for backbone in (network.backbone, network.reading_trunk[0]):
        assert torch.equal(backbone.stem[0].weight, given[name])
    assert not torch.equal(build_network(*settings).backbone.stem[0].weight, given[name])


def test_imagenet_weights_that_cannot_be_had_are_named(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fail)
    with pytest.raises(ValueError, match=r"vgg16_bn.*could not be downloaded \(no route to host\).*pretrained: false"):
        BACKBONES["vgg16_bn"](ImageNetConfig(pretrained=True), fetch_weights=True)
