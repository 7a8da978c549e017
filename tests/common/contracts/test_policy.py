"""The policy: a response for every cause, and one setting that changes rows of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.policy import DEFAULT, Policy, Response
from common.contracts.verdicts import Cause
from common.errors import SettingsError
from common.settings import Settings, get_settings

NEVER = {
    Cause.BLACK, Cause.FROZEN, Cause.COVERED, Cause.CAMERA_MOVED, Cause.OVER_EXPOSURE, Cause.UNKNOWN, Cause.OFFLINE,
    Cause.PACKET_LOSS, Cause.FLICKER, Cause.BANDING, Cause.HUNTING_EXPOSURE,
    Cause.MISSING_FRAMES, Cause.ENCODER, Cause.SOILED,
}  # fmt: skip
WITH_FOOTAGE = [cause for cause in Cause if cause is not Cause.OFFLINE]
rows = st.dictionaries(st.sampled_from(WITH_FOOTAGE), st.sampled_from(Response))


def test_by_default_what_shows_nothing_or_something_else_is_never_trained_on() -> None:
    assert set(DEFAULT) == set(Cause), "there is a response for every cause"
    policy = Policy()
    assert {cause for cause in Cause if not policy.of(cause).trains} == NEVER
    assert {cause for cause in Cause if not policy.of(cause).calls} == {Cause.NEW_CONTENT, Cause.MODEL_DECAY}


@pytest.mark.parametrize(
    ("response", "trains", "calls"),
    [(Response.TRAIN, True, False), (Response.CALL, False, True), (Response.BOTH, True, True)],
)
def test_what_a_response_stands_for(response: Response, trains: bool, calls: bool) -> None:
    assert (response.trains, response.calls) == (trains, calls)


@given(rows)
def test_the_setting_changes_the_rows_that_it_names_and_no_other(changed: dict[Cause, Response]) -> None:
    policy = Policy.parse(", ".join(f" {cause} = {response}" for cause, response in changed.items()))
    assert {cause: policy.of(cause) for cause in Cause} == {**DEFAULT, **changed}


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_an_empty_setting_is_the_default(text: str) -> None:
    assert Policy.parse(text) == Policy()


def test_of_two_rows_for_one_cause_the_last_one_counts() -> None:
    assert Policy.parse("noise=call,noise=train").of(Cause.NOISE) is Response.TRAIN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nois=train", r"'nois' is none of noise, .*: is 'noise' meant\?"),
        ("low light=call", r"is 'low_light' meant\?"),
        ("noise=trian", r"'trian' is none of train, call, both: is 'train' meant\?"),
        ("noise=", r"'' is none of train, call, both$"),
        ("noise=qqqq", r"'qqqq' is none of train, call, both$"),
        ("=train", r"'' is none of noise, "),
        ("noise=call=both", r"'call=both' is none of train"),
        ("noise", r"'noise' is no row of the policy: write CAUSE=RESPONSE"),
        ("noise=call;blur=call", r"'call;blur=call' is none of train"),
        ("NOISE=call", r"'NOISE' is none of noise"),
        ("offline=train", r"'offline=train' cannot be: no footage comes .* the only response is offline=call"),
        ("noise=call, offline=both", r"'offline=both' cannot be"),
    ],
)
def test_what_is_no_row_is_refused_with_the_nearest_name(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Policy.parse(text)


@given(st.text(max_size=40))
def test_whatever_is_set_is_a_policy_or_a_clear_refusal(text: str) -> None:
    try:
        policy = Policy.parse(text)
    except ValueError:
        return
    assert set(policy.responses) == set(Cause)
    assert policy.of(Cause.OFFLINE) is Response.CALL


def test_the_setting_is_checked_when_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_POLICY", "unknown=train, noise=call")
    policy = Policy.parse(Settings(_env_file=None).policy)  # type: ignore[call-arg]
    assert (policy.of(Cause.UNKNOWN), policy.of(Cause.NOISE)) == (Response.TRAIN, Response.CALL)
    monkeypatch.setenv("SENTINEL_POLICY", "unknwon=train")
    with pytest.raises(SettingsError, match=r"SENTINEL_POLICY.*is 'unknown' meant\?"):
        get_settings()
