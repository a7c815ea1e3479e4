"""Whether every row of Convex is in the end what the API says of its job, whatever happens on the way."""

from tests.bench.place import Place
from tests.bench.product_storm import Report, Size, storm
from tests.bench.result import Cell, Claim, Figure
from tests.support.chaos_proxy import FAULTS

MADE_UP_JOBS = 10_000
REAL_JOBS = 240
KILLS_EACH = 5
SEED = 7
EDGES = {"gateway": "producers → gateway", "convex": "gateway → Convex"}


def measure(place: Place) -> Figure:
    scale = place.scale
    size = Size(
        made_up_jobs=scale.number(MADE_UP_JOBS),
        real_jobs=scale.number(REAL_JOBS),
        kills_each=scale.number(KILLS_EACH),
        seed=SEED,
    )
    report = storm(place.folder / "consistency", place.processes, size)
    for fault in report.faults[:20]:
        print(fault)
    return figure(report)


def figure(report: Report) -> Figure:
    return Figure(
        title="The page and the API agree",
        how=(
            "A producer signs the updates of made-up jobs, whose latest state it knows, and sends each until it is answered "
            "200, those of one job in any order, some twice, some twice under another id. Beside it the transcriber takes "
            "recordings, its engine asks a Groq that is fake, and as that answers, cancel, delete and retry come at once and "
            "race the end of the job. Between producers and gateway, and between gateway and Convex, a proxy keeps requests "
            "back up to 0.3 s, loses them, loses the answer to what was taken, repeats them up to 5 s later, and answers 503 or "
            "429 itself; gateway, backend and transcriber are killed (-9) at random moments and started again. Gateway, "
            "functions and transcriber are as `make run` starts them; the backend is the development backend, which "
            "keeps its tables in a file. Then proxy and killing end, and once the transcriber's queue and outbox and the "
            "gateway's deliveries are empty, each job is read from Convex as a page does, and compared in every field with the "
            "producer's ledger, or with `GET /v1/jobs/{id}`. Beside all this a page of the official Python client, in a process of "
            "its own, stays subscribed to a dozen of the jobs. This says nothing of the hosted Convex, whose limits and write "
            "conflicts the development backend does not have."
        ),
        columns=["what", "number"],
        rows=[*_done(report), *_befell(report), *_raced(report), *_took(report)],
        claims=_claims(report),
    )


def _claims(report: Report) -> list[Claim]:
    populations = (report.made_up, report.real)
    return [
        Claim("rows that differ", sum(len(one.differing) for one in populations), at_most=0),
        Claim("rows missing", sum(len(one.missing) for one in populations), at_most=0),
        Claim("deleted jobs shown", sum(len(one.deleted_visible) for one in populations), at_most=0),
        Claim("failed syncs", 100 * len(report.failed) / report.events, at_most=0, unit="%"),
        Claim("dead letters", report.dead, at_most=0),
        Claim("steps back on an open page", len(report.setbacks), at_most=0),
    ]


def _done(report: Report) -> list[list[Cell]]:
    return [
        ["made-up jobs compared", report.made_up.compared],
        ["real jobs compared", report.real.compared],
        ["updates of the made-up jobs", report.updates],
        ["webhooks the producer sent for them, with repetitions", report.sent],
        ["events the gateway took, of both", report.events],
        *([f"answers of Convex: {outcome}", count] for outcome, count in sorted(report.outcomes.items())),
        ["views an open page was given", report.views],
    ]


def _befell(report: Report) -> list[list[Cell]]:
    return [
        *([f"kills: {name}", count] for name, count in sorted(report.kills.items())),
        *(
            [f"{EDGES[edge]}: {fault}", counts[fault]]
            for edge, counts in report.edges.items()
            for fault in FAULTS
        ),
    ]


def _raced(report: Report) -> list[list[Cell]]:
    cancels = report.cancels
    return [
        ["cancels that came before the end of the job", cancels["cancelled"]],
        ["cancels that came after it", cancels["completed"] + cancels["failed"]],
        ["cancels that came after a deletion", cancels["deleted"]],
    ]


def _took(report: Report) -> list[list[Cell]]:
    return [
        ["seconds of chaos", report.storm_seconds],
        ["seconds until all was settled", report.settle_seconds],
    ]
