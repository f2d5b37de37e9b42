"""The phones that a new user finds, to try everything at once."""

from groupline_gateway.engines.simulator.schemas import AutoReceipts, NewPhone

DEMO_PHONES = (
    NewPhone(
        number="+91 98765 43210",
        name="Studio phone",
        groups=27,
        receipts=AutoReceipts(readers=4, anonymous=1),
    ),
    NewPhone(
        number="+91 98765 01234",
        name="Academy phone",
        groups=64,
        receipts=AutoReceipts(readers=6, anonymous=2),
    ),
)
