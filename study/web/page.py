"""A page of ours, whole: what all of them share around what they say."""

from study.markup import Html, join, tag
from study.web.exchange import HTML, Answer
from study.web.headers import policy_of
from study.web.pagestyle import STYLE


def make_page(
    title: str, *body: object, status: int = 200, head: object = None, script: str = ""
) -> Answer:
    """Return a page.

    Args:
        title: Text; the site's name follows.
        body: Markup or text.
        head: Markup for the head.
        script: The only one that a browser may run.
    """
    page = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="robots", content="noindex"),
            tag("title", f"{title} - study"),
            tag("link", rel="icon", href="data:,"),
            tag("style", Html(STYLE)),
            head,
        ),
        tag("body", *body, tag("script", Html(script)) if script else None),
        lang="en",
    )
    text = join([Html("<!DOCTYPE html>\n"), page])
    return Answer(status, text, HTML, [policy_of(STYLE, script)])


def button(
    label: str,
    action: str,
    token: str,
    fields: dict[str, object] | None = None,
    *,
    class_: str | None = None,
) -> Html:
    """Return a form of one button, which sends the fields to an action of ours."""
    hidden = {"token": token, **(fields or {})}
    inputs = [tag("input", type="hidden", name=n, value=v) for n, v in hidden.items()]
    return tag(
        "form",
        *inputs,
        tag("button", label, type="submit", class_=class_),
        method="post",
        action=action,
    )
