"""The commands that use a recipe or its model: export it, serve it, show it, train it together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bench.cli.options import DataDir, Device, among
from bench.cli.output import tell

Checkpoint = Annotated[
    Path, Argument(metavar="CHECKPOINT", help="the folder that `bench train` wrote")
]
Trust = Annotated[bool, Option("--trust", help="run the code that another's checkpoint names")]


def export(
    checkpoint: Checkpoint,
    to: Annotated[
        str, Option("--to", help="torch or onnx", autocompletion=among("torch", "onnx"))
    ] = "torch",
    output: Annotated[
        Path | None, Option(help="the file (exported.pt2 or exported.onnx in CHECKPOINT)")
    ] = None,
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Export a trained model as a program of torch's or ONNX's, and compare the two.

    Exits with 1 where the program doesn't answer as the model does.
    """
    from bench.cli.exporting import Apart, export_to

    try:
        for line in export_to(checkpoint, to, output, device, trust):
            tell(line)
    except Apart as said:
        tell(str(said))
        raise typer.Exit(1) from None


def serve(
    checkpoint: Checkpoint,
    port: Annotated[int, Option(min=0, max=65535, help="0: any that is free")] = 8000,
    host: Annotated[str, Option(help="0.0.0.0: whoever reaches this machine")] = "127.0.0.1",
    max_megabytes: Annotated[float, Option(min=0.001, help="of a request's body")] = 16.0,
    max_seconds: Annotated[float, Option(min=0.01, help="until a request is answered")] = 30.0,
    max_batch: Annotated[int, Option(min=1, help="rows the model is called with at once")] = 32,
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Serve a trained model over HTTP: /predict, /model, /health, /metrics, and /docs."""
    from bench.cli.serving import serve_at

    serve_at(checkpoint, host, port, (max_megabytes, max_seconds, max_batch), device, trust)


def demo(
    checkpoint: Checkpoint,
    files: Annotated[
        list[Path] | None, Argument(metavar="[FILE]…", help="items; none: some of the test part")
    ] = None,
    output: Annotated[Path, Option(help="the picture")] = Path("inference_demo.png"),
    items: Annotated[int, Option(min=1, max=12, help="how many of the test part")] = 3,
    data_dir: DataDir = None,
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Draw what a trained model says of a few items, and what its answers rest on."""
    from bench.cli.demonstrating import demonstrate

    for line in demonstrate(checkpoint, files or [], output, items, data_dir, device, trust):
        tell(line)


def federate(
    source: Annotated[
        Path, Argument(metavar="RECIPE|CHECKPOINT", help="optimized.json, or a trained model")
    ],
    clients: Annotated[int, Option(min=2, help="among whom the training items are shared out")] = 3,
    rounds: Annotated[int, Option(min=1, help="exchanges of weights")] = 5,
    epochs: Annotated[int, Option(min=1, help="that a client trains in a round")] = 1,
    seed: Annotated[int, Option(help="training seed")] = 0,
    data_dir: DataDir = None,
    device: Device = "auto",
    threads: Annotated[int | None, Option(help="CPU threads")] = None,
    output: Annotated[Path, Option(help="folder for the checkpoint")] = Path("federated"),
    trust: Trust = False,
) -> None:
    """Train a recipe on data that is shared out, exchanging weights alone, through Flower.

    The clients are of this machine. Beside each round stands the same training on all the data.
    """
    from bench.cli.federating import Asked
    from bench.cli.federating import federate as train

    train(Asked(source, clients, rounds, epochs, seed, data_dir, device, threads, output, trust))
