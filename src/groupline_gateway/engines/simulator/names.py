"""Group names as they are found on the phones of workshop organizers, in several scripts."""

_TEMPLATES = (
    "Python Workshop – Batch {n}",
    "योग कार्यशाला – सुबह {n}",
    "Webinar alerts {n} 🔔",
    "தமிழ் வகுப்பு {n}",
    "Taller de fotografía {n}",
    "ورشة عمل التسويق {n}",
    "Data analysis evening class {n}",
    "数据分析 学习小组 {n}",
    "డిజిటల్ మార్కెటింగ్ బ్యాచ్ {n}",
    "Finance masterclass – cohort {n}",
    "Мастер-класс по дизайну {n}",
    "Cours d’anglais – niveau {n}",
    "বাংলা লেখালেখি কর্মশালা {n}",
    "Startup meet-up {n} 🚀",
    "ワークショップ参加者 {n}",
    "Excel & Sheets, weekend {n}",
    "ગુજરાતી રસોઈ વર્ગ {n}",
    "Alumni “Public speaking” {n}",
    "सवाल-जवाब समूह {n}",
    "Volunteers – logistics {n}",
)
_COMMUNITIES = ("Learning community", "कार्यशाला समुदाय", "Comunidad de talleres", "社区学习")


def group_name(index: int) -> str:
    """A name for the group at ``index``, never the same for two of them."""
    return _TEMPLATES[index % len(_TEMPLATES)].format(n=index // len(_TEMPLATES) + 1)


def community_name(index: int) -> str:
    name = _COMMUNITIES[index % len(_COMMUNITIES)]
    return name if index < len(_COMMUNITIES) else f"{name} {index // len(_COMMUNITIES) + 1}"
