"""Reading PyTorch's checkpoint files, without PyTorch and without running code in them.

    from minigrad import torch_file
    weights = torch_file.read_state_dict("resnet18.pth")   # tensors by name, wherever the file keeps them
    everything = torch_file.read("checkpoint.pt")          # all that the file holds: dictionaries, lists, tensors

Such a file is a pickle, which is a program, beside the raw memory of the tensors. PyTorch runs the program.
We read it: `machine` follows its opcodes and builds dictionaries, lists, tuples, numbers and texts; `tensors` knows
what the few functions that PyTorch's tensors are made with would have returned; whatever else the program asks for is
noted down as Opaque, and neither imported nor called. `formats` knows the two kinds of file.
"""

from minigrad.torch_file.formats import read
from minigrad.torch_file.machine import Opaque
from minigrad.torch_file.state import read_state_dict

__all__ = ["Opaque", "read", "read_state_dict"]
