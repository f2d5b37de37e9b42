"""Who may do what only one process does at a time."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import Base, check


class Lease(Base):
    __tablename__ = "leases"
    __table_args__ = (check("owner", "owner <> ''"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    begun_at: Mapped[datetime | None]
    """Since when the owner has it, where somebody wants to know."""
    expires_at: Mapped[datetime]
    progress: Mapped[int | None]
    """How far the owner has come, for whoever waits."""
