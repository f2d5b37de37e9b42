"""WhatsApp's formatting, as WhatsApp shows it."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.http.formatting import whatsapp_html

TEXTS = st.text(st.sampled_from("ab1 *_~`>-.\n<&\"'{}/:hw\x00"), max_size=60) | st.text()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold* _italic_ ~struck~", "<strong>bold</strong> <em>italic</em> <s>struck</s>"),
        ("*two words* and more", "<strong>two words</strong> and more"),
        ("*_both_*", "<strong><em>both</em></strong>"),
        ("_a *b ~c~* d_", "<em>a <strong>b <s>c</s></strong> d</em>"),
        ("(*bold*), _so_.", "(<strong>bold</strong>), <em>so</em>."),
        ("2*3*4 and snake_case_name", "2*3*4 and snake_case_name"),
        ("* not bold *", "<ul><li>not bold *</li></ul>"),
        ("a * b * c", "a * b * c"),
        ("*open", "*open"),
        ("**double**", "**double**"),
        ("*a*b*", "<strong>a*b</strong>"),
        ("*over\nlines*", "*over<br>lines*"),
        ("*नमस्ते*", "<strong>नमस्ते</strong>"),
        ("नमस्ते*ठीक*", "नमस्ते*ठीक*"),
        ("*😀*", "<strong>😀</strong>"),
        ("`x = *y*`", "<code>x = *y*</code>"),
        ("```a *b*```", "<code>a *b*</code>"),
        ("```\nfor _x_:\n  y\n```", "<pre>for _x_:\n  y</pre>"),
        ("*bold `code` bold*", "<strong>bold <code>code</code> bold</strong>"),
        ("``````", "``````"),
        ("- one\n- *two*\nthree", "<ul><li>one</li><li><strong>two</strong></li></ul>three"),
        ("* one\n* two", "<ul><li>one</li><li>two</li></ul>"),
        ("3. c\n4. d", '<ol><li value="3">c</li><li value="4">d</li></ol>'),
        ("> said\n> twice", "<blockquote>said<br>twice</blockquote>"),
        ("-not a list\n1.5 kg\n>not a quote", "-not a list<br>1.5 kg<br>&gt;not a quote"),
        ("a\nb\n\nc", "a<br>b<br><br>c"),
        ("a\n\n- b\n\nc", "a<br><br><ul><li>b</li></ul><br>c"),
        ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
    ],
)
def test_shown_as_in_whatsapp(text: str, html: str) -> None:
    assert whatsapp_html(text) == html


@pytest.mark.parametrize(
    ("text", "href", "shown"),
    [
        ("https://example.org/a_b_c", "https://example.org/a_b_c", "https://example.org/a_b_c"),
        ("see https://example.org.", "https://example.org", "https://example.org"),
        ("*https://example.org*", "https://example.org", "https://example.org"),
        ("(www.example.org/x)", "https://www.example.org/x", "www.example.org/x"),
        ("https://e.org/a_(b)", "https://e.org/a_(b)", "https://e.org/a_(b)"),
        ("https://e.org/?a=1&b=2", "https://e.org/?a=1&amp;b=2", "https://e.org/?a=1&amp;b=2"),
    ],
)
def test_links(text: str, href: str, shown: str) -> None:
    link = f'<a href="{href}" rel="noopener noreferrer">{shown}</a>'
    assert link in whatsapp_html(text)


@pytest.mark.parametrize("text", ["javascript:alert(1)", "https://", "www.", "xhttps://e.org"])
def test_what_is_no_link(text: str) -> None:
    assert "<a" not in whatsapp_html(text)


def test_what_has_no_value_is_marked_also_inside_of_a_link() -> None:
    html = whatsapp_html("*{a_b}* https://e.org/{c}", highlight=["{a_b}", "{c}"])
    assert "<strong><mark>{a_b}</mark></strong>" in html
    assert "<mark>{c}</mark></a>" in html


class Reader(HTMLParser):
    """What a browser makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        allowed = {"a": {"href", "rel"}, "li": {"value"}}.get(tag, set())
        assert {name for name, _ in attrs} <= allowed
        assert all(not (value or "").lower().startswith("javascript") for _, value in attrs)
        known = {"strong", "em", "s", "code", "pre", "a", "ul", "ol", "li", "blockquote", "mark"}
        assert tag in known | {"br"}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(str(html))
    reader.close()
    assert reader.open == []
    return reader


FORMATTING = "*_~`->.0123456789 \n\x00\ufffd"


def essence(text: str) -> str:
    """Without what formatting may take away."""
    return "".join(char for char in text.replace("\r", "\n") if char not in FORMATTING)


@given(TEXTS, st.lists(st.sampled_from(["{a}", "a", "<", "&"]), max_size=2))
def test_nothing_that_was_typed_becomes_markup_and_nothing_is_lost(
    text: str, highlight: list[str]
) -> None:
    reader = read(whatsapp_html(text, highlight=highlight))
    assert essence(reader.text) == essence(text)


@pytest.mark.parametrize(
    "odd", ["*a ", "*a* ", "_*~", "`", "```", "``` ", "*_~a", "https://", "(", "- ", "> ", "1. "]
)
def test_long_odd_texts_are_shown_in_no_time(odd: str) -> None:
    text = odd * (65_536 // len(odd))
    before = time.thread_time()
    whatsapp_html(text)
    assert time.thread_time() - before < 5
