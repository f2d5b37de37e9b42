"""The prose of the API reference: backticks are code, and nothing is markup."""

import pytest

from groupline.web.api_docs import prose


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Take `nextCursor` or ``limit``.", "Take <code>nextCursor</code> or <code>limit</code>."),
        ("`a`", "<code>a</code>"),
        ("<b>no</b> `<i>`", "&lt;b&gt;no&lt;/b&gt; <code>&lt;i&gt;</code>"),
        ("a lone ` stays", "a lone ` stays"),
        ("", ""),
    ],
)
def test_backticks_become_code_and_the_rest_is_escaped(text: str, html: str) -> None:
    assert str(prose(text)) == html
