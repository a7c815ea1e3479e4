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
            "200: those of one job in any order, some twice, some twice under another id. Beside it the transcriber gets "
            "recordings; Groq is fake, and as it answers, cancel, delete and retry come at once and race the end of the job. "
            "Before the gateway, and between gateway and Convex, a proxy keeps requests back for up to 0.3 s, loses them, "
            "loses the answer to what was taken, repeats them up to 5 s later, and answers 503 or 429 in place of the other "
            "side. Gateway, backend and transcriber are killed (`-9`) at random and started again. All of them are as `make "
            "run` starts them, so the backend is the development backend with its tables in a file; it fails 5 % of the "
            "mutations as a write conflict. Then chaos ends, and once "
            "the transcriber's queue and outbox are empty and no delivery of the gateway is pending, every job is read by "
            "`transcriptionJobs:list` and compared in each field with the producer's ledger, or with `GET /v1/jobs/{id}`. A "
            "real job is gone where its upload or retry was answered 202 and the transcriber lists it no more, not even as "
            "deleted. A sync that failed is an event of the gateway that Convex never answered `applied`, `duplicate` or "
            "`stale`. The open page is the official Python client, subscribed to a hundred of the jobs all the while. None of this was done with "
            "the hosted Convex."
        ),
        columns=["what", "number"],
        rows=[*_done(report), *_befell(report), *_raced(report), *_took(report)],
        claims=_claims(report),
    )


def _claims(report: Report) -> list[Claim]:
    populations = (report.made_up, report.real)
    return [
        Claim("made-up jobs compared", report.made_up.compared, at_least=report.size.made_up_jobs),
        Claim("real jobs compared", report.real.compared, at_least=report.size.real_jobs),
        Claim("jobs that were taken and are gone", len(report.lost), at_most=0),
        Claim("rows that differ", sum(len(one.differing) for one in populations), at_most=0),
        Claim("rows missing", sum(len(one.missing) for one in populations), at_most=0),
        Claim("deleted jobs shown", sum(len(one.deleted_visible) for one in populations), at_most=0),
        Claim("failed syncs", 100 * len(report.failed) / report.events, at_most=0, unit="%"),
        Claim("dead letters", report.dead, at_most=0),
        Claim("steps back on an open page", len(report.setbacks), at_most=0),
        Claim("jobs that it does not show as they ended", len(report.behind), at_most=0),
    ]


def _done(report: Report) -> list[list[Cell]]:
    return [
        ["made-up jobs compared", report.made_up.compared],
        ["of which deleted in the end", report.made_up.deleted],
        ["real jobs compared", report.real.compared],
        ["of which deleted in the end", report.real.deleted],
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
