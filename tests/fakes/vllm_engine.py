"""A stand-in for the interpreter of an environment that has vLLM, whose server answers chats.

Started as `python -m vllm.entrypoints.openai.api_server …`; paced, so that streams take a while.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.model_server import Behaviour, ModelServer

PACED = Behaviour(tokens=10, token_seconds=0.05)


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


async def serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with ModelServer(
        behaviour=PACED,
        models=(option("--served-model-name"),),
        api_key=os.environ["VLLM_API_KEY"],
        host=option("--host"),
        port=int(option("--port")),
    ):
        await stop.wait()


if __name__ == "__main__":
    if sys.argv[1] == "-c":
        sys.stdout.write("9.9.9\n")
    else:
        asyncio.run(serve())
