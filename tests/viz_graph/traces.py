"""Traces in their dictionary form, made without running a network: as large, deep or odd as a test wants them."""

from __future__ import annotations

from typing import Any

import numpy as np


def statistics(
    rng: np.random.Generator, count: int, zeros: float = 0.0, scale: float = 1.0
) -> dict[str, Any]:
    sample = np.sort(scale * rng.standard_normal(500))
    sample[rng.random(500) < zeros] = 0
    counts, edges = np.histogram(sample, 64)
    qs = (0.01, 0.25, 0.5, 0.75, 0.99)
    return {
        "count": count,
        "nans": 0,
        "infs": 0,
        "zeros": int(zeros * count),
        "minimum": float(sample.min()),
        "maximum": float(sample.max()),
        "mean": float(sample.mean()),
        "std": float(sample.std()),
        "skewness": 0.1,
        "kurtosis": 3.2,
        "norm": float(scale * np.sqrt(count)),
        "quantiles": {str(q): float(v) for q, v in zip(qs, np.quantile(sample, qs))},
        "histogram": {"edges": edges.tolist(), "counts": (counts * count / 500).tolist()},
    }


class Maker:
    """Adds records one by one; `trace()` gives the whole."""

    def __init__(self, level: str = "stats", seed: int = 0) -> None:
        self.rng, self.level = np.random.default_rng(seed), level
        self.records: list[dict[str, Any]] = []
        self.modules: dict[str, str] = {}
        self.updates: list[dict[str, Any]] = []
        self.tensors = 1000
        self.counts: dict[str, int] = {}

    def outside(self, name: str, shape: list[int], parameter: str | None = None) -> dict[str, Any]:
        self.tensors += 1
        return self._tensor(name, shape, self.tensors) | {
            "parent": None,
            "parameter": parameter,
            "version": 0,
        }

    @staticmethod
    def _tensor(name: str, shape: list[int], tensor: int) -> dict[str, Any]:
        strides = [4 * int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        size = 4 * int(np.prod(shape))
        return {
            "name": name,
            "shape": shape,
            "dtype": "float32",
            "device": "cpu",
            "strides": strides,
            "tensor": tensor,
            "bytes": size,
        }

    def add(
        self,
        op: str,
        parents: list[int],
        shape: list[int],
        module: str | None,
        *,
        modules: list[str] | None = None,
        others: list[dict] | None = None,
        inside: int | None = None,
        params: dict | None = None,
        zeros: float = 0.0,
        seconds: float = 1e-3,
        flops: float = 1e6,
        outputs: tuple[str, ...] = ("y",),
    ) -> int:
        number = len(self.records)
        self.counts[op] = self.counts.get(op, 0) + 1
        names = ["x", "residual", "c", "d", "e"]
        inputs = []
        for i, parent in enumerate(parents):
            source = self.records[parent]["outputs"][0]
            inputs.append(
                {
                    **{k: source[k] for k in ("shape", "dtype", "device", "strides", "tensor", "bytes")},
                    "name": names[i % 5],
                    "parent": parent,
                    "parameter": None,
                    "version": 0,
                }
            )
            if number not in self.records[parent]["children"]:
                self.records[parent]["children"].append(number)
        made = []
        for name in outputs:
            self.tensors += 1
            tensor = self._tensor(name, shape, self.tensors)
            measured = self.level != "meta"
            size = int(np.prod(shape))
            tensor["statistics"] = statistics(self.rng, size, zeros) if measured else None
            tensor["gradient"] = (
                statistics(self.rng, size, zeros, 10.0 ** -self.rng.uniform(1, 5)) if measured else None
            )
            made.append(tensor)
        self.records.append(
            {
                "number": number,
                "name": f"{op}_{self.counts[op]}",
                "op": op,
                "modules": modules if modules is not None else [] if module is None else [module],
                "module": module,
                "source": {
                    "file": "models/resnet.py",
                    "line": 80 + number,
                    "function": "forward",
                    "text": f"y = F.{op}(x)",
                },
                "params": params or {},
                "inputs": inputs + (others or []),
                "outputs": made,
                "children": [],
                "inside": inside,
                "forward_seconds": seconds * float(self.rng.uniform(0.5, 1.5)),
                "gradient_seconds": 2 * seconds,
                "bytes_allocated": sum(t["bytes"] for t in made),
                "bytes_saved": made[0]["bytes"],
                "bytes_freed": 0,
                "flops": flops,
                "intensity": 12.5,
                "random": False,
                "formula": f"y = {op}(x)",
                "gradient_formula": "gx = gy f'(x)",
                "reference": "He et al. 2016, section 3.3",
                "batch": shape[0] if shape else None,
            }
        )
        return number

    def trace(self) -> dict[str, Any]:
        return {
            "format": "minigrad-trace-1",
            "level": self.level,
            "modules": self.modules,
            "records": self.records,
            "updates": self.updates,
        }


def resnet(
    blocks: tuple[int, ...] = (3, 4, 6, 3), batch: int = 32, parts: bool = False, level: str = "stats"
) -> dict[str, Any]:
    """As of ResNet-50, one composite for convolution, norm, sum and activation; `parts`: with what is inside each."""
    m = Maker(level)
    m.modules = {
        "": "ResNet",
        "conv1": "Conv2d",
        "bn1": "BatchNorm2d",
        "maxpool": "MaxPool2d",
        "fc": "Linear",
    }

    def conv(
        x: int | None, path: str, norm: str, shape: list[int], size: int, residual: int | None = None
    ) -> int:
        m.modules |= {path: "Conv2d", norm: "BatchNorm2d"}
        given = [] if x is None else [x]
        inputs = [] if x is not None else [m.outside("x", [batch, 3, 224, 224])]
        channels = 3 if x is None else m.records[x]["outputs"][0]["shape"][1]
        weights = [
            m.outside("w", [shape[1], channels, size, size], f"{path}.weight"),
            m.outside("gamma", [shape[1]], f"{norm}.weight"),
            m.outside("beta", [shape[1]], f"{norm}.bias"),
        ]
        work = 2.0 * np.prod(shape) * channels * size * size
        params = {"stride": [1, 1], "padding": [size // 2] * 2, "eps": 1e-5, "activation": "relu"}
        y = m.add(
            "conv_bn_act",
            given + ([residual] if residual is not None else []),
            shape,
            path,
            modules=[path, norm],
            others=inputs + weights,
            params=params,
            zeros=0.45,
            seconds=work / 1e11,
            flops=work,
            outputs=("y", "z"),
        )
        if parts:
            common: dict[str, Any] = {"inside": y, "seconds": work / 1e11}
            z = m.add("conv2d", given, shape, path, others=inputs + weights[:1], flops=work, **common)
            n = m.add("batch_norm", [z], shape, path, others=weights[1:], **common)
            if residual is not None:
                n = m.add("add", [n, residual], shape, path, **common)
            m.add("relu", [n], shape, path, zeros=0.45, **common)
        return y

    side = 112
    x = conv(None, "conv1", "bn1", [batch, 64, side, side], 7)
    side = 56
    x = m.add("max_pool2d", [x], [batch, 64, side, side], "maxpool", seconds=5e-3)
    for i, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512)), start=1):
        m.modules[f"layer{i}"] = "Sequential"
        for j in range(count):
            path = f"layer{i}.{j}"
            m.modules[path] = "Bottleneck"
            out = [batch, 4 * width, side // (2 if i > 1 and j == 0 else 1), 0]
            side = out[2]
            out[3] = side
            shortcut = x
            if j == 0:
                m.modules[f"{path}.downsample"] = "Projection"
                shortcut = conv(x, f"{path}.downsample.0", f"{path}.downsample.1", out, 1)
            inner = [batch, width, side, side]
            h = conv(x, f"{path}.conv1", f"{path}.bn1", inner, 1)
            h = conv(h, f"{path}.conv2", f"{path}.bn2", inner, 3)
            x = conv(h, f"{path}.conv3", f"{path}.bn3", out, 1, residual=shortcut)
    x = m.add("adaptive_avg_pool2d", [x], [batch, 2048, 1, 1], "", seconds=1e-3)
    x = m.add("reshape", [x], [batch, 2048], "", seconds=1e-6)
    x = m.add(
        "linear", [x], [batch, 1000], "fc", others=[m.outside("w", [1000, 2048], "fc.weight")], seconds=1e-3
    )
    m.add("cross_entropy", [x], [], None, others=[m.outside("target", [batch])], seconds=1e-4)
    for record in m.records:
        for source in record["inputs"]:
            if source.get("parameter") and record["inside"] is None:
                weight, change = statistics(m.rng, 100), statistics(m.rng, 100, scale=1e-3)
                m.updates.append(
                    {
                        "optimizer": "SGD",
                        "parameter": source["parameter"],
                        "seconds": 1e-4,
                        "weight": weight,
                        "gradient": statistics(m.rng, 100, scale=1e-2),
                        "change": change,
                    }
                )
    return m.trace()


def random_trace(rng: np.random.Generator, n: int, depth: int = 3, level: str = "meta") -> dict[str, Any]:
    """n operations that read some of those before them, in modules chosen at random: modules run in turns."""
    m = Maker(level, seed=int(rng.integers(1 << 30)))
    for i in range(n):
        path = ".".join(str(rng.integers(3)) for _ in range(rng.integers(depth + 1)))
        parents = sorted(
            {int(p) for p in rng.integers(max(0, i - 12), i, rng.integers(0, 4))} if i else set()
        )
        m.add(
            str(rng.choice(["conv2d", "relu", "add"])), parents, [2, 3], None if rng.random() < 0.1 else path
        )
    return m.trace()


def large(n: int = 3000) -> dict[str, Any]:
    """A network of n operations: stages of blocks of ten operations with a shortcut, and statistics."""
    m = Maker("stats")
    m.modules[""] = "Deep"
    x = m.add("conv2d", [], [8, 16, 32, 32], "stem", others=[m.outside("x", [8, 3, 32, 32])])
    block = 0
    while len(m.records) < n - 1:
        path = f"stage{block // 30}.{block % 30}"
        m.modules |= {path: "Block", f"stage{block // 30}": "Sequential"}
        start = x
        for k in range(9):
            x = m.add(("conv2d", "batch_norm", "relu")[k % 3], [x], [8, 16, 32, 32], f"{path}.{k}", zeros=0.3)
        x = m.add("add", [x, start], [8, 16, 32, 32], path)
        block += 1
    m.add("sum", [x], [], None)
    return m.trace()
