"""The load of an engine, read from its metrics."""

import pytest

from inference.engines.engine import EngineLoad, read_load
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
    assert read_load(LLAMACPP.metrics, metrics=LLAMA) == EngineLoad(running=3, waiting=2)


def test_vllm_with_several_engine_cores_is_summed():
    assert read_load(VLLM.metrics, metrics=VLLM_TWO_ENGINES) == EngineLoad(running=5, waiting=1)


def test_an_engine_that_says_nothing_is_idle():
    assert read_load(VLLM.metrics, metrics="") == EngineLoad(running=0, waiting=0)


def test_a_line_that_is_no_number_does_not_count():
    assert read_load(LLAMACPP.metrics, metrics="llamacpp:requests_processing x") == EngineLoad(
        running=0, waiting=0
    )


def test_every_name_that_a_metric_has_had_is_read():
    new = "vllm:kv_cache_usage_perc 0.5\nvllm:prompt_tokens_total 7\nvllm:generation_tokens_total 9"
    old = "vllm:gpu_cache_usage_perc 0.25"

    assert read_load(VLLM.metrics, metrics=new) == EngineLoad(
        running=0, waiting=0, kv_cache_used=0.5, prompt_tokens=7, generation_tokens=9
    )
    assert read_load(VLLM.metrics, metrics=old).kv_cache_used == 0.25


def test_llama_cpp_tells_tokens_too():
    metrics_text = "llamacpp:prompt_tokens_total 3\nllamacpp:tokens_predicted_total 4"

    load = read_load(LLAMACPP.metrics, metrics=metrics_text)

    assert (load.prompt_tokens, load.generation_tokens, load.kv_cache_used) == (3, 4, None)


def test_the_caches_of_several_cores_are_as_full_as_on_average():
    metrics_text = (
        'vllm:kv_cache_usage_perc{engine="0"} 0.2\nvllm:kv_cache_usage_perc{engine="1"} 0.6'
    )

    assert read_load(VLLM.metrics, metrics=metrics_text).kv_cache_used == pytest.approx(0.4)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-3", "", "1e999"])
def test_what_is_no_amount_does_not_count(value):
    metrics_text = f"vllm:num_requests_running {value}\nvllm:kv_cache_usage_perc {value}"

    assert read_load(VLLM.metrics, metrics=metrics_text) == EngineLoad(running=0, waiting=0)


def test_the_time_of_a_sample_is_not_its_value():
    text = 'vllm:num_requests_running{engine="0"} 2.0 1767225600000'

    assert read_load(VLLM.metrics, metrics=text) == EngineLoad(running=2, waiting=0)


def test_braces_and_spaces_in_a_label_end_nothing():
    text = 'vllm:num_requests_running{model_name="a} 9 {b"} 2'

    assert read_load(VLLM.metrics, metrics=text) == EngineLoad(running=2, waiting=0)
