"""The highest rate that holds a latency bound: estimated from service times, and held and broken by requests that were sent.

For: which rates are sent, for how long, and what all of them say together. Not for: sending requests (rate_search.py), or
what one rate's requests say (bound.py).

A queue's latencies follow from its service times and arrivals, so that service times tell where the highest rate is long before
latencies do: requests that wait in one queue are alike, and prove little. So each rate to send is chosen by the model, where
requests of the time that is left would probably prove something; what is proved rests on those requests alone. Each rate that
is put to the proof may pass wrongly with half of what is left of ERROR, all of them together with at most ERROR.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from seatrial.loads.bound import ERROR, ERROR_OF_NO, MOST_LOOKS, Holds, LatencyBound, bound_holds
from seatrial.loads.chance import probably
from seatrial.loads.fit import Fit, Sent, fit_of
from seatrial.stats.queue import Queue, RateEstimate, estimate_rate, quick_rate
from seatrial.stats.utilisation import utilisation

F64 = npt.NDArray[np.float64]
# Most requests of one rate: those of a model that takes a few microseconds would fill the table of samples at once.
MOST_REQUESTS = 1 << 15
# Shares of the time: for service times at the rate that the first ones point to, for the first proof, and for a rate that
# breaks. The rest goes to a proof of a higher rate, or of a lower one where the first failed.
LOOKING, PROVING, BREAKING = 0.15, 0.4, 0.1
# How likely the proof of a rate should be that is sent: of a first one, and of a better one.
LIKELY, AS_LIKELY_AS_NOT = 0.8, 0.5
# Rates to choose from, as shares of the likely highest; rates nearer to each other are one rate on a shared machine.
STEP = 0.93
PROVABLE = tuple(STEP**k for k in range(1, 30))
BREAKABLE = (1.05, 1.1, 1.2, 1.3, 1.5, 2.0)
# A rate that failed its proof says that the model's chances were too good.
BELOW_FAILED = 0.8
# Service times may differ from rate to rate: a core that rested is slow, clients that run at once are in each other's way.
# Those of rates so near to the highest stand for it, if there are so many.
NEAR, LEAST_NEAR = (0.3, 1.3), 200
# Where the model has no rate that holds, this share of the capacity is tried; where none may be proved, this of the highest.
LEAST_TRIED, LAST_TRIED = 0.1, 0.5
# Less time than this share is not worth another rate.
LEAST_LEFT = 0.05
# How many times as much time is thought of where nothing could be proved, and in what steps.
MOST_TIME, MORE_TIME = 64, 1.4


@dataclass(frozen=True)
class Found:
    """held: the highest rate that was proved to hold the bound; broke: the lowest shown not to, or more than clients can do.

    holds: what each rate's requests prove. estimate: the highest rate by the model; fits: whether each rate's requests
    agree with it; both once the search is over. enough_s: where nothing was proved, the time that would probably do, if any.
    """

    held: float | None
    broke: float | None
    holds: tuple[Holds, ...]
    estimate: RateEstimate | None = None
    fits: tuple[Fit, ...] = ()
    enough_s: float | None = None


# A rate and for how many seconds; None: no room for more requests.
Send = Callable[[float, float], Sent | None]
Tell = Callable[[Found], None]


def find_rate(
    bound: LatencyBound,
    service_s: F64,
    send: Send,
    time_s: float,
    seed: int,
    constant: bool = False,
    tell: Tell = lambda _: None,
) -> Found:
    """service_s: (n,) of requests back to back, one or more. time_s: how long rates may be sent. constant: arrivals come
    evenly. tell: hears after each rate what is found so far."""
    return _Search(bound, Queue(service_s, bound.clients, constant), send, tell, time_s, seed).run()


@dataclass
class _Search:
    bound: LatencyBound
    queue: Queue
    send: Send
    tell: Tell
    time_s: float
    seed: int
    sent: list[Sent] = field(default_factory=list)
    holds: list[Holds] = field(default_factory=list)
    put_to_proof: list[float] = field(default_factory=list)
    full: bool = False

    def __post_init__(self) -> None:
        self.alone, self.left_s = self.queue, self.time_s
        self.likely = self._likely()

    def run(self) -> Found:
        self._look(LOOKING * self.time_s)
        if self._prove(PROVING * self.time_s):
            self._break(BREAKING * self.time_s)
            while self._prove(self.left_s):
                pass
        estimate = estimate_rate(self.queue, self.bound.quantile, self.bound.limit_s, self.seed)
        so_far = self._so_far()
        return replace(
            so_far,
            estimate=estimate,
            fits=tuple(
                fit_of(s, self.bound, self.queue, self.seed)
                if self._tells(s.rate, h, estimate.value)
                else Fit.of(s, self.bound)
                for s, h in zip(self.sent, self.holds, strict=True)
            ),
            enough_s=None if so_far.held else self._enough_s(),
        )

    def _so_far(self) -> Found:
        return Found(self._held(), self._broke(), tuple(self.holds))

    def _look(self, seconds: float) -> None:
        """Service times at the rate in question; what its requests prove is left to others."""
        self._ask(self._highest(), seconds, error=None)

    def _prove(self, seconds: float) -> bool:
        """Sends a rate that will probably be proved in that time, or in all that is left; False where there is none."""
        if self._is_over():
            return False
        held = self._held()
        chance = AS_LIKELY_AS_NOT if held else LIKELY
        rate = self._provable(seconds, chance)
        if rate is None:
            seconds = self.left_s
            rate = self._provable(seconds, chance)
        # Better a small chance than time that is left unused.
        if rate is None and not held:
            rate = self._provable(seconds, AS_LIKELY_AS_NOT) or LAST_TRIED * self._highest()
        if rate is None and held and held / STEP < STEP * self._highest():
            rate = held / STEP
        if rate is None:
            return False
        error = self._error(rate, seconds)
        self.put_to_proof.append(rate)
        self._ask(rate, seconds, error)
        return True

    def _error(self, rate: float, seconds: float) -> float:
        """Of the next proof: half of what is left of ERROR, or all of it where no time will be left for another."""
        last = seconds >= self.left_s and rate * seconds <= MOST_REQUESTS
        return ERROR * 0.5 ** (len(self.put_to_proof) + (not last))

    def _provable(self, seconds: float, chance: float, step: int = 1) -> float | None:
        """The highest rate that so much time would prove with this chance; of every so many."""
        ceiling = BELOW_FAILED * min(self._failed(), default=math.inf)
        for rate in (share * self._highest() for share in PROVABLE[::step]):
            if rate < (self._held() or 0.0) / STEP:
                return None
            if rate < ceiling and self._probably("yes", rate, seconds, self._error(rate, seconds), chance):
                return rate
        return None

    def _break(self, seconds: float) -> None:
        """Sends the lowest rate that will probably be shown to break."""
        if self._is_over():
            return
        for rate in (share * self.likely for share in BREAKABLE):
            if 0 < rate < self._too_fast() and self._probably("no", rate, seconds, ERROR, LIKELY):
                self._ask(rate, seconds, error=None)
                return

    def _probably(self, answer: Holds, rate: float, seconds: float, error: float, chance: float) -> bool:
        requests = int(min(rate * seconds, MOST_REQUESTS))
        return probably(answer, self.bound, self.queue, rate, requests, error, chance, self.seed + len(self.sent))

    def _ask(self, rate: float, seconds: float, error: float | None) -> None:
        """error: of a proof; None: a rate that may only be shown to break."""
        seconds = min(seconds, self.left_s, MOST_REQUESTS / rate)
        sent = self.send(rate, seconds)
        if sent is None:
            self.full = True
            return
        self.left_s -= seconds
        holds = bound_holds(self.bound, sent.latencies_s, sent.service_s, rate, error or ERROR)
        self.sent.append(sent)
        self.holds.append("unsure" if holds == "yes" and error is None else holds)
        self._learn()
        self.tell(self._so_far())

    def _learn(self) -> None:
        near = [s.service_s for s in self.sent if self._is_near(s.rate, self.likely)]
        if sum(map(len, near)) >= LEAST_NEAR:
            service_s = np.concatenate(near)
        else:
            service_s = np.concatenate([self.alone.service_s, *(s.service_s for s in self.sent)])
        self.queue = Queue(service_s, self.bound.clients, self.queue.constant)
        self.likely = self._likely()

    def _enough_s(self) -> float | None:
        """The time of a search that would probably prove some rate, by the model."""
        time_s = self.time_s * MORE_TIME
        while time_s <= MOST_TIME * self.time_s:
            if self._provable(time_s - LOOKING * time_s, LIKELY, step=4):
                return time_s
            time_s *= MORE_TIME
        return None

    def _likely(self) -> float:
        return quick_rate(self.queue, self.bound.quantile, self.bound.limit_s, self.seed + len(self.sent))

    def _highest(self) -> float:
        """By the model; where it has none, some rate is tried all the same."""
        return self.likely or LEAST_TRIED * self.queue.capacity

    def _tells(self, rate: float, holds: Holds, highest: float) -> bool:
        """Whether the model is to explain this rate: one near the highest, and any that is said to hold."""
        return self._is_near(rate, highest) or holds == "yes"

    def _is_near(self, rate: float, highest: float) -> bool:
        return NEAR[0] * highest <= rate <= NEAR[1] * highest

    def _is_over(self) -> bool:
        return self.full or len(self.sent) >= MOST_LOOKS or self.left_s < LEAST_LEFT * self.time_s

    def _held(self) -> float | None:
        """A rate above one that broke is never held, whatever luck it had."""
        broke = min(self._rates("no"), default=math.inf)
        return max((r for r in self._rates("yes") if r < broke), default=None)

    def _broke(self) -> float | None:
        broke = min([*self._rates("no"), self._too_fast()])
        return broke if math.isfinite(broke) else None

    def _failed(self) -> list[float]:
        """Rates that were put to the proof and did not pass."""
        return [
            s.rate for s, h in zip(self.sent, self.holds, strict=True) if h != "yes" and s.rate in self.put_to_proof
        ]

    def _too_fast(self) -> float:
        """No such rate needs to be sent: where requests come faster than all clients can serve, each waits longer than the
        last."""
        busy = utilisation(self.queue.service_s, 1.0, self.bound.clients, 1 - ERROR_OF_NO)[0]
        return 1 / busy if busy > 0 else math.inf

    def _rates(self, holds: Holds) -> list[float]:
        return [s.rate for s, h in zip(self.sent, self.holds, strict=True) if h == holds]
