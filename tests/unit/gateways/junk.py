"""JSON that gateways might send, with the words of the contract in unfit places."""

from hypothesis import strategies as st

_KEYS = st.sampled_from(
    [
        *("success", "messageId", "accepted", "existing", "key", "id", "error", "message"),
        *("status", "qr", "qrCode", "phoneNumber", "since", "restriction", "reason", "until"),
        *("groups", "jid", "groupId", "name", "subject", "participants", "size", "isAdmin"),
        *("inviteLink", "inviteCode", "admin", "phone", "complete", "found", "timestamp"),
        *("capabilities", "version", "totalParticipants", "groupName", "phones", "number"),
    ]
) | st.text(max_size=5)
_WORDS = st.sampled_from(
    [
        *("connected", "disconnected", "qr", "logged_out", "true", "false", "1", "0", ""),
        *("120363041234567890@g.us", "919876543210:1@s.whatsapp.net", "data:image/png;base64,AA=="),
        *("Session not found", "not connected", "https://chat.whatsapp.com/AbCdEf", "failed"),
        *("1970-01-01T00:00:00Z", "99999999999999999999", "\ud800", "\x00\u202e", "-0"),
    ]
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _WORDS
    | st.text(max_size=20)
    | st.integers(10**400, 10**401)
)
JSON: st.SearchStrategy[object] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_KEYS, inner, max_size=7),
    max_leaves=25,
)
