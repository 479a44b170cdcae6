"""`make bench-peers`: other gateways under the load of `make bench`, on this machine.

None of the peers counts tokens, limits or authenticates here: they are set up as fast as they go.
With `--install` they are fetched into `.tenantry/peers`; a peer that is missing is left out.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.fixtures.servers.ports import free_port
from tests.load import load, servers
from tests.load.bench import RATE, Length, Subject, measure_streams, say
from tests.load.leftovers import nothing_left_behind
from tests.load.report import Figure, save, show

HOME = servers.ROOT / ".tenantry" / "peers"
NGINX = """
daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
LITELLM = """
model_list:
  - model_name: bench
    litellm_params: {{model: openai/bench, api_base: "http://127.0.0.1:{engine}/v1", api_key: none}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One other gateway: how it is fetched, started and asked."""

    name: str
    program: str
    """Where it is once it is installed; a name without a slash is looked up on the PATH."""
    command: tuple[str, ...]
    """With {home}, {port}, {engine} and {program} to be filled in."""
    install: tuple[tuple[str, ...], ...] = ()
    config: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/health"

    def missing(self) -> str:
        """Why it cannot be measured; empty if it can."""
        found = shutil.which(self.program) or Path(self.program).exists()
        hint = "--install fetches it" if self.install else "install it with your system's packages"
        return "" if found else f"not installed ({hint})"

    def filled(self, text: str, *, port: int, engine: int) -> str:
        return text.format(home=HOME, port=port, engine=engine, program=self.program)


def from_pypi(name: str, requirement: str) -> tuple[tuple[str, ...], ...]:
    """The steps into an environment of its own: peers pin what we pin otherwise."""
    folder = HOME / name
    return (
        (sys.executable, "-m", "venv", str(folder)),
        (str(folder / "bin" / "pip"), "install", "--quiet", requirement),
    )


PEERS = (
    Peer(
        name="nginx",
        program="nginx",
        command=("{program}", "-c", "{home}/nginx.conf", "-p", "{home}"),
        config=NGINX,
    ),
    Peer(
        name="vllm-router",
        program=str(HOME / "vllm-router" / "bin" / "vllm-router"),
        command=(
            *("{program}", "--host", "127.0.0.1", "--port", "{port}"),
            *("--worker-urls", "http://127.0.0.1:{engine}", "--log-level", "error"),
        ),
        install=from_pypi("vllm-router", "vllm-router==0.1.17"),
    ),
    Peer(
        name="portkey",
        program=str(HOME / "node_modules/@portkey-ai/gateway/build/start-server.js"),
        command=("node", "{program}", "--port={port}", "--headless"),
        install=(
            ("npm", "install", "--silent", "--no-audit", "--no-fund", "@portkey-ai/gateway@1.15.2"),
        ),
        headers={
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": "http://127.0.0.1:{engine}/v1",
            "authorization": "Bearer none",
        },
        ready_path="/",
    ),
    Peer(
        name="litellm",
        program=str(HOME / "litellm" / "bin" / "litellm"),
        command=(
            *("{program}", "--config", "{home}/litellm.conf", "--host", "127.0.0.1"),
            *("--port", "{port}", "--num_workers", "1", "--telemetry", "False"),
        ),
        install=from_pypi("litellm", "litellm[proxy]==1.106.*"),
        config=LITELLM,
        env={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            # It listens on loopback, for the length of one measurement.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
        ready_path="/health/liveliness",
    ),
)


def fetch(peer: Peer) -> None:
    """Install it if it is missing. A package manager that fails costs this peer only."""
    if not peer.missing() or not peer.install:
        return
    say(f"fetching {peer.name}")
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        for step in peer.install:
            subprocess.run(step, check=True, cwd=HOME, stdout=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print(f"{peer.name} could not be fetched: {error}")


@contextmanager
def started(peer: Peer, where: set[int], engine: servers.Server) -> Iterator[Subject]:
    """Raises StartError."""
    port = free_port()
    if peer.config:
        conf = HOME / f"{peer.name}.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(peer.filled(peer.config, port=port, engine=engine.port))
    command = [peer.filled(part, port=port, engine=engine.port) for part in peer.command]
    headers = {
        name: peer.filled(value, port=port, engine=engine.port)
        for name, value in peer.headers.items()
    }
    with servers.running(
        f"peer-{peer.name}",
        command,
        port=port,
        where=where,
        env=peer.env,
        ready_path=peer.ready_path,
        patience=90,
    ) as server:
        yield Subject(server, load.Target(name=peer.name, port=port, headers=headers))


def measure(subject: Subject, relay: Subject, *, length: Length) -> None:
    """In rounds that alternate with the relay, so that each ratio is of one moment."""
    load.measure_throughput(subject.target, seconds=2)
    for _ in range(length.rounds):
        for each in (relay, subject):
            each.throughput.append(load.measure_throughput(each.target, seconds=length.seconds))
    subject.latency.append(
        load.measure_latency(subject.target, per_second=RATE, seconds=length.seconds)
    )
    measure_streams(subject, streams=length.streams)
    subject.rss_mb = subject.server.rss_mb()


def figures(subject: Subject, relay: Subject, direct: Subject) -> list[Figure]:
    name = subject.target.name
    paired = relay.throughput[-len(subject.throughput) :]
    beside = sum(each.per_second for each in paired) / len(paired)
    added = subject.p50_ms - direct.p50_ms
    return [
        Figure(name=f"{name}, requests per second", measured=subject.per_second),
        Figure(name=f"{name} / relay", measured=subject.per_second / beside),
        Figure(name=f"{name}, refused", measured=subject.throughput[-1].refused),
        Figure(name=f"{name}, added p50 at {RATE} req/s", measured=added, unit="ms"),
        Figure(
            name=f"{name}, streams complete", measured=100 * subject.streams[-1].success, unit="%"
        ),
        Figure(name=f"{name}, CPU of the streams", measured=100 * subject.stream_cpu[-1], unit="%"),
        Figure(name=f"{name}, memory", measured=subject.rss_mb, unit="MB"),
    ]


def compare(peers: list[Peer], *, length: Length) -> None:
    under_test, others = servers.cores()
    servers.pin(os.getpid(), others)
    found: list[Figure] = []
    subjects: list[Subject] = []
    skipped: list[str] = []
    with servers.upstream(others) as engine, servers.relay(under_test, engine) as yardstick:
        direct = Subject(engine, load.Target(name="engine", port=engine.port))
        direct.latency.append(
            load.measure_latency(direct.target, per_second=RATE, seconds=length.seconds)
        )
        relay = Subject(yardstick, load.Target(name="relay", port=yardstick.port))
        for peer in peers:
            say(peer.name)
            try:
                with started(peer, under_test, engine) as subject:
                    measure(subject, relay, length=length)
            except servers.StartError as error:
                skipped.append(f"{peer.name}: {error}")
                continue
            subjects.append(subject)
            found += figures(subject, relay, direct)
    raw = {subject.target.name: subject.as_json() for subject in [relay, *subjects]}
    path = save(servers.ROOT / ".tenantry" / "bench", "peers", figures=found, raw=raw)
    print(show("Other gateways on one core", found))
    print("\n".join(["", *skipped, f"All numbers: {path.relative_to(servers.ROOT)}"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", help="some of: " + ", ".join(p.name for p in PEERS))
    parser.add_argument("--install", action="store_true", help="fetch what is missing")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--streams", type=int, default=100)
    given = parser.parse_args()
    wanted = [peer for peer in PEERS if not given.peers or peer.name in given.peers]
    for peer in wanted if given.install else ():
        fetch(peer)
    for peer in wanted:
        if peer.missing():
            print(f"{peer.name} is left out: {peer.missing()}")
    length = Length(rounds=given.rounds, seconds=given.seconds, streams=given.streams)
    compare([peer for peer in wanted if not peer.missing()], length=length)


if __name__ == "__main__":
    with nothing_left_behind():
        main()
