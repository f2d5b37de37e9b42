"""The driver and the shipped simulator: the whole contract, each variant and each fault."""

import itertools
import uuid
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from tests.contract.conftest import IMPATIENT, PATIENT
from tests.contract.simulator import KEY, Simulator, SimulatorProcess

from groupline.errors import GatewayRefused, GatewaySessionUnknown
from groupline.gateways.drivers.base import Endpoint, HttpPool, Limits
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.outcomes import (
    Accepted,
    FailureKind,
    Found,
    LookupUnknown,
    NotFound,
    NotSent,
    NotSentReason,
    ReadingFailed,
    SendOutcome,
    Sent,
    SessionConnected,
    SessionDisconnected,
    SessionQr,
    SessionUnknown,
    Uncertain,
    UncertainReason,
    UnknownWord,
)
from groupline.gateways.port import Capabilities, Capability, GatewayGroup, SimulatedPhone

_numbers = itertools.count(919876500000)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(tmp_path_factory.mktemp("simulator"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def simulator(process: SimulatorProcess) -> AsyncIterator[Simulator]:
    """A phone of its own with three groups; no faults, and the native dialect."""
    async with aiohttp.ClientSession() as http:
        simulator = Simulator(process, http, str(next(_numbers)))
        groups = [
            {"name": "Morning batch", "participants": 27, "isAdmin": True},
            {"name": "News", "participants": 500, "announceOnly": True},
            {"name": "Community", "isCommunity": True},
        ]
        phone = {"number": simulator.number, "name": "Reception", "groups": groups}
        await simulator.call("POST", "/phones", phone)
        yield simulator
        await simulator.call("DELETE", "/faults")
        await simulator.call("PUT", "/dialect", {})


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> Limits:
    """Who gets no answer gives up soon; everybody else waits as long as a busy machine takes."""
    return IMPATIENT if "no_answer" in request.node.name else PATIENT


@pytest.fixture
async def driver(pool: HttpPool, simulator: Simulator, limits: Limits) -> GrouplineDriver:
    """With the capabilities that the simulator lists itself."""
    return await probed(pool, simulator, limits)


async def probed(pool: HttpPool, simulator: Simulator, limits: Limits = PATIENT) -> GrouplineDriver:
    endpoint = Endpoint(simulator.process.url, KEY)
    probe = await GrouplineDriver(pool, endpoint, Capabilities(), limits).probe()
    assert probe.error is None
    return GrouplineDriver(pool, endpoint, probe.capabilities, limits)


@pytest.fixture
async def session(driver: GrouplineDriver, simulator: Simulator) -> str:
    """A session that is connected."""
    session_id = new_session()
    await driver.connect(session_id)
    await driver.scan(simulator.number, session_id)
    return session_id


def new_session() -> str:
    return f"wa_{uuid.uuid4()}"


async def morning_batch(driver: GrouplineDriver, session: str) -> GatewayGroup:
    listing = await driver.groups(session)
    return next(group for group in listing.groups if group.name == "Morning batch")


async def send(driver: GrouplineDriver, session: str, jid: str, client_ref: str) -> SendOutcome:
    return await driver.send(session, jid, f"text of {client_ref}", client_ref=client_ref)


# --- the way of a session


async def test_a_session_from_connect_to_disconnect(
    driver: GrouplineDriver, simulator: Simulator
) -> None:
    session = new_session()
    assert isinstance(await driver.status(session), SessionUnknown)

    await driver.connect(session)
    waiting = await driver.status(session)
    assert isinstance(waiting, SessionQr)
    assert waiting.qr is not None
    assert waiting.expires_at is not None

    await driver.scan(simulator.number, session)
    connected = await driver.status(session)
    assert isinstance(connected, SessionConnected)
    assert connected.phone == simulator.number
    assert connected.since is not None

    await driver.disconnect(session)
    await driver.disconnect(session)
    gone = await driver.status(session)
    assert isinstance(gone, SessionUnknown | SessionDisconnected)


async def test_a_pairing_code_for_the_expected_number(
    driver: GrouplineDriver, simulator: Simulator
) -> None:
    session = new_session()
    await driver.connect(session, expected_phone=simulator.number, pairing_code=True)
    waiting = await driver.status(session)
    assert isinstance(waiting, SessionQr)
    assert waiting.pairing_code is not None
    body = {"code": waiting.pairing_code}
    await simulator.call("POST", f"/phones/{simulator.number}/pairing-code", body)
    assert isinstance(await driver.status(session), SessionConnected)


async def test_a_phone_that_unlinks_ends_the_session_for_good(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    await simulator.call("POST", f"/phones/{simulator.number}/unlink")
    reading = await driver.status(session)
    assert isinstance(reading, SessionDisconnected)
    assert reading.logged_out


async def test_a_connection_that_drops_is_no_log_out(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    await simulator.call("POST", f"/phones/{simulator.number}/drop")
    reading = await driver.status(session)
    assert isinstance(reading, SessionDisconnected)
    assert not reading.logged_out


async def test_a_restricted_account_says_so(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    restriction = {"kind": "restricted", "until": "2031-01-01T00:00:00Z"}
    await simulator.call("PUT", f"/phones/{simulator.number}/restriction", restriction)
    reading = await driver.status(session)
    assert isinstance(reading, SessionConnected)
    assert reading.restriction is not None
    assert reading.restriction.until is not None
    group = await morning_batch(driver, session)
    outcome = await send(driver, session, group.jid, str(uuid.uuid4()))
    assert isinstance(outcome, NotSent)
    assert outcome.reason is NotSentReason.RESTRICTED


async def test_simulated_phones_are_offered_for_scanning(
    driver: GrouplineDriver, simulator: Simulator
) -> None:
    phones = await driver.list_phones()
    assert SimulatedPhone(simulator.number, "Reception", 3) in phones


async def test_what_is_not_there_is_refused_by_its_name(
    driver: GrouplineDriver, simulator: Simulator
) -> None:
    with pytest.raises(GatewaySessionUnknown):
        await driver.groups(new_session())
    with pytest.raises(GatewaySessionUnknown):
        await driver.scan(simulator.number, new_session())
    with pytest.raises(GatewayRefused):
        await driver.scan("919800000001", new_session())


async def test_a_probe_tells_a_wrong_key(pool: HttpPool, simulator: Simulator) -> None:
    endpoint = Endpoint(simulator.process.url, "another-key-entirely")
    probe = await GrouplineDriver(pool, endpoint, Capabilities(), PATIENT).probe()
    assert (probe.reachable, probe.authenticated) == (True, False)


async def test_a_probe_tells_engine_and_capabilities(driver: GrouplineDriver) -> None:
    probe = await driver.probe()
    assert probe.engine == "simulator"
    assert Capability.CLIENT_REF in probe.capabilities
    assert Capability.SIMULATOR in probe.capabilities


async def test_a_gateway_lists_what_it_holds(driver: GrouplineDriver, session: str) -> None:
    assert Capability.SESSIONS in driver.capabilities
    waiting = new_session()
    await driver.connect(waiting)
    held = {each.id: each for each in (await driver.sessions()).sessions}
    assert (held[session].status, held[waiting].status) == ("connected", "qr_pending")
    assert held[session].since is not None
    await driver.disconnect(waiting)
    assert waiting not in {each.id for each in (await driver.sessions()).sessions}


# --- groups


async def test_groups_with_all_their_facts(driver: GrouplineDriver, session: str) -> None:
    listing = await driver.groups(session, include_invite_links=True)
    facts = {group.name: group for group in listing.groups}
    assert listing.complete is True
    assert facts["Morning batch"].participant_count == 27
    assert facts["Morning batch"].is_admin is True
    assert facts["Morning batch"].invite_link is not None
    assert facts["News"].announce_only is True
    assert facts["News"].is_admin is False
    assert facts["Community"].is_community is True


async def test_the_invite_and_the_participants_of_a_group(
    driver: GrouplineDriver, session: str
) -> None:
    group = await morning_batch(driver, session)
    invite = await driver.invite(session, group.jid)
    assert invite.link.endswith(invite.code)
    listing = await driver.participants(session, group.jid)
    assert len(listing.participants) == listing.total == 27
    assert listing.group_name == "Morning batch"


async def test_only_an_admin_gets_the_invite(driver: GrouplineDriver, session: str) -> None:
    listing = await driver.groups(session)
    news = next(group for group in listing.groups if group.name == "News")
    with pytest.raises(GatewayRefused, match="admin"):
        await driver.invite(session, news.jid)


async def test_groups_of_a_session_that_is_not_connected(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    await simulator.call("POST", f"/phones/{simulator.number}/drop")
    with pytest.raises(GatewayRefused) as refused:
        await driver.groups(session)
    assert refused.value.extra["gatewayReason"] == "not_connected"


# --- variants of the contract


@pytest.mark.parametrize(
    "dialect",
    [
        {"groupsShape": "list", "groupId": "jid", "groupName": "subject"},
        {"groupId": "groupId", "groupSize": "list"},
        {"groupSize": "participantsCount", "groupAdmin": "text"},
        {"groupSize": "size", "groupAdmin": "number"},
        {"groupAdmin": "participants"},
        {"ownParts": False},
    ],
    ids=str,
)
async def test_every_shape_of_a_group_list_says_the_same(
    driver: GrouplineDriver, simulator: Simulator, session: str, dialect: dict[str, object]
) -> None:
    await simulator.speak(dialect)
    listing = await driver.groups(session, own_phone=simulator.number)
    facts = {g.name: (g.participant_count, g.is_admin) for g in listing.groups}
    assert facts["Morning batch"] == (27, True)
    assert facts["News"] == (500, False)


@pytest.mark.parametrize("form", ["inviteLink", "invite_link", "inviteCode"])
async def test_every_form_of_an_invite_link_is_a_link(
    driver: GrouplineDriver, simulator: Simulator, session: str, form: str
) -> None:
    await simulator.speak({"groupInvite": form})
    listing = await driver.groups(session, include_invite_links=True)
    links = [group.invite_link for group in listing.groups if group.is_admin]
    assert links
    assert all(link and link.startswith("https://chat.whatsapp.com/") for link in links)


@pytest.mark.parametrize("phone_format", ["plus", "digits", "jid"])
async def test_every_form_of_a_phone_is_one_number(
    driver: GrouplineDriver, simulator: Simulator, session: str, phone_format: str
) -> None:
    await simulator.speak({"phoneFormat": phone_format})
    reading = await driver.status(session)
    assert isinstance(reading, SessionConnected)
    assert reading.phone == simulator.number


@pytest.mark.parametrize("field", ["qr", "qrCode", "qrcode"])
@pytest.mark.parametrize("form", ["text", "data_url"])
async def test_every_form_of_a_qr_code_can_be_shown(
    driver: GrouplineDriver, simulator: Simulator, field: str, form: str
) -> None:
    await simulator.speak({"qrField": field, "qrFormat": form, "pendingWord": "qr"})
    session = new_session()
    await driver.connect(session)
    reading = await driver.status(session)
    assert isinstance(reading, SessionQr)
    assert reading.qr is not None
    shown = reading.qr.text if form == "text" else reading.qr.image_data_url
    assert shown


async def test_an_older_gateway_calls_an_unknown_session_disconnected(
    driver: GrouplineDriver, simulator: Simulator
) -> None:
    await simulator.speak({"unknownSession": "disconnected"})
    assert await driver.status(new_session()) == SessionDisconnected()


async def test_a_gateway_without_our_own_parts(
    pool: HttpPool, simulator: Simulator, session: str
) -> None:
    await simulator.speak({"ownParts": False, "sent": "key"})
    driver = await probed(pool, simulator)
    assert driver.capabilities == Capabilities()
    group = await morning_batch(driver, session)
    ref = str(uuid.uuid4())
    outcome = await send(driver, session, group.jid, ref)
    assert isinstance(outcome, Sent)
    assert await simulator.copies_of_text(f"text of {ref}") == 1
    last = await driver.message_status(session, client_ref=ref, group_jid=group.jid)
    assert isinstance(last, Found)
    assert (last.message_id, last.by_client_ref) == (outcome.message_id, False)
    assert isinstance(await driver.message_status(session, client_ref=ref), LookupUnknown)


# --- sends and their faults


async def test_the_same_reference_is_sent_once(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    group = await morning_batch(driver, session)
    ref = str(uuid.uuid4())
    first = await send(driver, session, group.jid, ref)
    assert isinstance(first, Sent)
    assert await send(driver, session, group.jid, ref) == Sent(first.message_id, existing=True)
    assert await simulator.copies(ref) == 1


async def test_groups_that_cannot_be_written_to(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    listing = await driver.groups(session)
    jids = {group.name: group.jid for group in listing.groups}
    reasons = {}
    for name, jid in [*jids.items(), ("Elsewhere", "120363999999999999@g.us")]:
        outcome = await send(driver, session, jid, str(uuid.uuid4()))
        reasons[name] = outcome.reason if isinstance(outcome, NotSent) else None
    assert reasons == {
        "Morning batch": None,
        "News": NotSentReason.NOT_ALLOWED,
        "Community": NotSentReason.BAD_REQUEST,
        "Elsewhere": NotSentReason.NOT_IN_GROUP,
    }


FAULTS: list[tuple[dict[str, object], object, int]] = [
    ({"kind": "delay", "seconds": 0.02}, Sent, 1),
    ({"kind": "no_answer"}, UncertainReason.NO_ANSWER, 1),
    ({"kind": "no_answer", "carriedOut": False}, UncertainReason.NO_ANSWER, 0),
    ({"kind": "reset_before"}, UncertainReason.CONNECTION_LOST, 0),
    ({"kind": "reset_after"}, UncertainReason.CONNECTION_LOST, 1),
    ({"kind": "unavailable"}, NotSentReason.NOT_CONNECTED, 0),
    ({"kind": "error"}, UncertainReason.SERVER_ERROR, 0),
    ({"kind": "error", "carriedOut": True}, UncertainReason.SERVER_ERROR, 1),
    ({"kind": "html"}, UncertainReason.SERVER_ERROR, 0),
    ({"kind": "html", "httpStatus": 200, "carriedOut": True}, UncertainReason.MALFORMED, 1),
    ({"kind": "html", "httpStatus": 404}, NotSentReason.ROUTE_MISSING, 0),
    ({"kind": "garbage", "carriedOut": True}, UncertainReason.MALFORMED, 1),
    ({"kind": "rate_limited", "retryAfter": 7}, NotSentReason.RATE_LIMITED, 0),
    ({"kind": "unauthorized"}, NotSentReason.UNAUTHORIZED, 0),
    ({"kind": "logout"}, NotSentReason.NOT_CONNECTED, 0),
    ({"kind": "drop"}, NotSentReason.NOT_CONNECTED, 0),
    ({"kind": "accepted"}, Accepted, 1),
    ({"kind": "lie"}, UncertainReason.NO_EVIDENCE, 0),
    ({"kind": "refuse", "errorText": "no"}, NotSentReason.REJECTED, 0),
    ({"kind": "empty"}, NotSentReason.REJECTED, 0),
]


def claim(outcome: SendOutcome) -> object:
    return outcome.reason if isinstance(outcome, NotSent | Uncertain) else type(outcome)


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: str(case[0]))
async def test_a_fault_on_the_way_of_a_send(
    driver: GrouplineDriver,
    simulator: Simulator,
    session: str,
    case: tuple[dict[str, object], object, int],
) -> None:
    fault, expected, copies = case
    group = await morning_batch(driver, session)
    ref = str(uuid.uuid4())
    await simulator.fault({**fault, "route": "send", "sessionId": session, "times": 1})
    outcome = await send(driver, session, group.jid, ref)
    assert claim(outcome) == expected
    assert await simulator.copies(ref) == copies
    if isinstance(outcome, Uncertain):
        answer = await driver.message_status(session, client_ref=ref)
        assert isinstance(answer, Found if copies else NotFound)


async def test_a_crash_between_sending_and_answering_is_settled_by_the_reference(
    pool: HttpPool, simulator: Simulator, driver: GrouplineDriver, session: str
) -> None:
    group = await morning_batch(driver, session)
    for kind, copies in (("crash_before", 0), ("crash_after", 1)):
        ref = str(uuid.uuid4())
        strike = {"kind": kind, "route": "send", "sessionId": session, "times": 1}
        await simulator.fault(strike)
        outcome = await send(driver, session, group.jid, ref)
        assert isinstance(outcome, Uncertain)
        simulator.process.wait_until_dead()
        down = await driver.status(session)
        assert isinstance(down, ReadingFailed)
        assert down.kind is FailureKind.UNREACHABLE
        simulator.process.start()
        driver = await probed(pool, simulator)
        assert await simulator.copies(ref) == copies
        repeated = await send(driver, session, group.jid, ref)
        assert isinstance(repeated, Sent)
        assert await simulator.copies(ref) == 1


# --- faults of the other calls


async def test_a_qr_code_that_is_missing(driver: GrouplineDriver, simulator: Simulator) -> None:
    session = new_session()
    await driver.connect(session)
    await simulator.fault({"kind": "qr_missing", "sessionId": session})
    assert await driver.status(session) == SessionQr(None)


async def test_a_word_that_nobody_knows(
    driver: GrouplineDriver, simulator: Simulator, session: str
) -> None:
    await simulator.fault({"kind": "status_word", "sessionId": session, "word": "hibernating"})
    assert await driver.status(session) == UnknownWord("hibernating")


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("no_answer", FailureKind.UNREACHABLE),
        ("reset_before", FailureKind.UNREACHABLE),
        ("error", FailureKind.SERVER_ERROR),
        ("html", FailureKind.SERVER_ERROR),
        ("unauthorized", FailureKind.AUTH),
        ("rate_limited", FailureKind.REFUSED),
        ("garbage", FailureKind.MALFORMED),
    ],
)
async def test_a_gateway_in_trouble_says_nothing_about_the_session(
    driver: GrouplineDriver, simulator: Simulator, session: str, kind: str, failure: FailureKind
) -> None:
    await simulator.fault({"kind": kind, "route": "status", "sessionId": session})
    reading = await driver.status(session)
    assert isinstance(reading, ReadingFailed)
    assert reading.kind is failure
