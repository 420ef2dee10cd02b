"""Quantisation of any `nn.Module`: quantize, calibrate, freeze, save and load.

quantized = quantize(network, QuantConfig(build_method("aser", weight_bits=4, activation_bits=8)))
calibrate(quantized, images)
freeze(quantized)
save(quantized, path)
"""

from textspot.quant.calibration import calibrate, freeze
from textspot.quant.methods import build_method
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.storage import count_bytes, load, save

__all__ = ["QuantConfig", "build_method", "calibrate", "count_bytes", "freeze", "load", "quantize", "save"]
