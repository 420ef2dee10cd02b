"""Packing gives back every bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textspot.quant.packing import pack, unpack


@given(st.integers(2, 8), st.integers(-128, 0), st.integers(0, 40), st.integers(0, 2**16))
def test_what_is_packed_comes_back(bits, lowest, count, seed):
    codes = torch.randint(0, 2**bits, (count,), generator=torch.Generator().manual_seed(seed)) + lowest
    packed = pack(codes, bits, lowest)
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-count * bits // 8)
    assert torch.equal(unpack(packed, bits, lowest, codes.shape), codes.to(torch.int16))


def test_the_layout_is_the_first_code_in_the_lowest_bits():
    assert pack(torch.tensor([1, 2, 15]), 4, 0).tolist() == [0x21, 0x0F]
    assert pack(torch.tensor([[-4], [3]]), 3, -4).tolist() == [0b111000]


def test_codes_and_bytes_that_do_not_fit():
    with pytest.raises(ValueError, match="codes from 0 to 16 do not fit into 4 bits that start at 0"):
        pack(torch.tensor([0, 16]), 4, 0)
    with pytest.raises(ValueError, match="codes from -9 to 0 do not fit into 4 bits that start at -8"):
        pack(torch.tensor([0, -9]), 4, -8)
    with pytest.raises(ValueError, match="3 bytes, expected 2 for 4 codes of 4 bits"):
        unpack(torch.zeros(3, dtype=torch.uint8), 4, 0, torch.Size((2, 2)))
