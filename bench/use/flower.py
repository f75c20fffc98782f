"""Exchange weights through Flower: its strategy FedAvg, and a client that trains a recipe.

What of an update can't be averaged (NaN, other shapes) is refused and named, and so is a client
that gives no answer; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity

from bench.errors import BenchError, Diverged, reason_of
from bench.job import Job
from bench.use.federated import Plan, State, evaluated, sendable, trained_round, unfit
from bench.use.quiet import quiet

ITEMS, LOSS, CLIENT = "num-examples", "loss", "partition-id"
SERVER = 1
"""Its number among tasks, runs and nodes."""
FAILED = 0
"""Flower's code for an error that it knows no other of."""
Tamper = Callable[[int, int, State], State | None]
"""What becomes of the weights that a client sends in a round, both from 1; None: it is gone."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one exchange of weights gave."""

    number: int
    metrics: Mapping[str, float]
    """Of the averaged weights on the test part."""
    items: int
    """That the averaged clients trained on."""
    loss: float | None
    averaged: tuple[int, ...]
    """Clients, from 1."""
    left_out: Mapping[int, str]
    """Clients whose update was not averaged, and why."""


@dataclass
class Told:
    """What a round's replies were."""

    averaged: list[int] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    items: int = 0
    loss: float | None = None


class Averaging(FedAvg):  # type: ignore[misc]  # flwr lies in an environment of its own
    """Flower's weighted average of those updates that can be averaged."""

    def __init__(self, like: State) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
        self._like = like
        self.told: dict[int, Told] = {}

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the updates that are fit; note who sent what."""
        told, kept = Told(), list[Message]()
        for reply in sorted(replies, key=lambda one: one.metadata.src_node_id):
            client = reply.metadata.src_node_id
            why = reply.error.reason if reply.has_error() else self._unfit(reply)
            if why is not None:
                told.left_out[client] = why
                continue
            told.averaged.append(client)
            kept.append(reply)
        arrays, metrics = super().aggregate_train(server_round, kept)
        told.items = sum(int(one.content["metrics"][ITEMS]) for one in kept)
        told.loss = None if metrics is None else float(metrics[LOSS])
        self.told[server_round] = told
        return arrays, metrics

    def _unfit(self, reply: Message) -> str | None:
        return unfit(reply.content["arrays"].to_torch_state_dict(), self._like)


def client_app(job_of: Callable[[Context], Job], plan: Plan) -> ClientApp:
    """Return Flower's app of a client, which trains `job_of` its context in each round."""
    app = ClientApp()

    @app.train()  # type: ignore[untyped-decorator]  # as above
    def train(message: Message, context: Context) -> Message:
        number = int(message.content["config"]["server-round"])
        state = message.content["arrays"].to_torch_state_dict()
        update = trained_round(job_of(context), state, plan, number)
        sent = RecordDict({
            "arrays": ArrayRecord(dict(update.state)),
            "metrics": MetricRecord({ITEMS: update.items, LOSS: update.loss}),
        })  # fmt: skip
        return Message(content=sent, reply_to=message)

    return app


class Here(Grid):  # type: ignore[misc]  # as above
    """Clients on this machine, called one after the other; a tampered one to see what comes of it.

    A client that is gone gives no answer in its round, and is not asked again.
    """

    def __init__(self, app: ClientApp, clients: int, tamper: Tamper) -> None:
        self._app, self._tamper = app, tamper
        self._contexts = {
            client: Context(
                run_id=1, node_id=client, node_config={CLIENT: client - 1}, state=RecordDict(),
                run_config={},
            )
            for client in range(1, clients + 1)
        }  # fmt: skip

    def get_node_ids(self) -> list[int]:
        """Return the clients that are there."""
        return list(self._contexts)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Have each client train, and return what they say."""
        return [self._answered(message) for message in messages]

    def _answered(self, message: Message) -> Message:
        client = message.metadata.dst_node_id
        try:
            reply = self._app(message, self._contexts[client])
        except (BenchError, Diverged) as error:
            return Message(Error(code=FAILED, reason=str(error)), reply_to=message)
        except Exception as error:  # noqa: BLE001 - elsewhere it would end in a process of its own
            return Message(Error(code=FAILED, reason=reason_of(error, 120)), reply_to=message)
        number = int(message.content["config"]["server-round"])
        sent = reply.content["arrays"].to_torch_state_dict()
        kept = self._tamper(client, number, sent)
        if kept is None:
            del self._contexts[client]
            return Message(Error(code=FAILED, reason="no answer"), reply_to=message)
        if kept is not sent:
            reply.content["arrays"] = ArrayRecord(dict(kept))
        return reply

    def set_run(self, *args: object, **named: object) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> object:
        """Raise: there is no run of Flower's."""
        raise NotImplementedError

    def create_message(self, *args: object, **named: object) -> Message:
        """Raise: strategies make their messages themselves."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Raise: `send_and_receive` does both."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Raise: `send_and_receive` does both."""
        raise NotImplementedError


def untouched(client: int, number: int, state: State) -> State:
    """Leave what a client sends as it is."""
    return state


def simulated(
    server: Job, clients: Sequence[Job], plan: Plan, on_round: Callable[[Round], None],
    tamper: Tamper = untouched,
) -> State:  # fmt: skip
    """Exchange weights among clients of this machine; return those of the last round.

    The server's job has the first weights, and its test part judges. Raises `BenchError` where
    nobody is left.
    """
    first = dict(sendable(server.model.state_dict()))
    with quiet("flwr"):
        strategy = Averaging(first)
    app = client_app(lambda context: clients[int(context.node_config[CLIENT])], plan)
    grid = Here(app, len(clients), tamper)

    def judge(number: int, arrays: ArrayRecord) -> MetricRecord:
        metrics = evaluated(server, arrays.to_torch_state_dict())
        if number:
            told = strategy.told[number]
            on_round(Round(
                number, metrics, told.items, told.loss, tuple(told.averaged), told.left_out
            ))  # fmt: skip
        return MetricRecord(metrics)

    with quiet("flwr"), _identified():
        result = strategy.start(grid, ArrayRecord(first), plan.rounds, evaluate_fn=judge)
    if not result.train_metrics_clientapp:
        why = {reason for told in strategy.told.values() for reason in told.left_out.values()}
        raise BenchError(f"no update of any client could be averaged: {'; '.join(sorted(why)[:2])}")
    found: State = result.arrays.to_torch_state_dict()
    return found


@contextmanager
def _identified() -> Iterator[None]:
    """Say whose messages are sent: a process of Flower's own has it from its server."""
    before = TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = SERVER, SERVER, SERVER
    try:
        yield
    finally:
        TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = before
