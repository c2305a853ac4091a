"""The page of a service, once it is open in a browser."""


def scored(page, count):
    """Wait until so many images are scored, and what was said of them aloud."""
    page.wait_for_selector(f"#cards .card:nth-child({count}) [data-slot=queue]:not([hidden])")
    page.wait_for_selector("#progress[hidden]", state="attached")
    page.wait_for_selector("#say:not(:empty)", state="attached")
    return page.inner_text("#say")


def tab_to(page, selector):
    """Press Tab until it has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(selector).evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {selector}")
