"""What an engine's own metrics say about how busy it is."""

from inference.engines.engine import Load, read_load
from inference.engines.llamacpp import LLAMACPP
from inference.engines.vllm import VLLM

LLAMA = """
# HELP llamacpp:requests_processing Number of requests processing
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 3
llamacpp:requests_deferred 2
"""
VLLM_TWO_ENGINES = """
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
"""


def test_llama_cpp():
    assert read_load(LLAMACPP, metrics=LLAMA) == Load(running=3, waiting=2)


def test_vllm_with_several_engine_cores_is_summed():
    assert read_load(VLLM, metrics=VLLM_TWO_ENGINES) == Load(running=5, waiting=1)


def test_an_engine_that_says_nothing_is_idle():
    assert read_load(VLLM, metrics="") == Load(running=0, waiting=0)


def test_a_line_that_is_no_number_does_not_count():
    assert read_load(LLAMACPP, metrics="llamacpp:requests_processing x") == Load(
        running=0, waiting=0
    )
