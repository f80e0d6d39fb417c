"""What the benchmarks share: the machine in words, taking turns, medians, tables, result files, charts."""

from measuring.machine import chosen_cores, describe_machine
from measuring.results import prepare_output, write_json
from measuring.rounds import Summary, joins, summary
from measuring.tables import table

__all__ = [
    "Summary",
    "chosen_cores",
    "describe_machine",
    "joins",
    "prepare_output",
    "summary",
    "table",
    "write_json",
]
