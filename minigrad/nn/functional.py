"""Operations on tensors under the names of `torch.nn.functional`; each is defined in a family of `minigrad.ops`."""

from minigrad import ops as _ops

globals().update({_name: getattr(_ops, _name) for _name in _ops.PUBLIC})
