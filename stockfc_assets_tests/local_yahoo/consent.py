"""The pages that hand out Yahoo's cookie: fc.yahoo.com, and the consent form that Europeans see.

Nothing redirects: a client whose redirects are followed below its own address rewriting would leave this machine.
"""

from __future__ import annotations

from stockfc_assets_tests.local_yahoo.charts import Answer

COOKIE = "A3=d=local; Expires=Fri, 01 Jan 2038 00:00:00 GMT; Domain=.yahoo.com; Path=/; SameSite=None; HttpOnly"
SESSION_ID = "3_cc-session_local"
FORM = f"""<!DOCTYPE html>
<html><head><title>Yahoo is part of the Yahoo family of brands</title></head><body>
<form method="post" class="consent-form" action="">
<input type="hidden" name="csrfToken" value="local"><input type="hidden" name="sessionId" value="{SESSION_ID}">
<input type="hidden" name="originalDoneUrl" value="https://finance.yahoo.com/">
<input type="hidden" name="namespace" value="yahoo">
<button type="submit" name="agree" value="agree">Accept all</button>
</form></body></html>"""


def page(host: str, path: str) -> Answer:
    """The form for the path ``/consent``, otherwise an empty page; fc.yahoo.com is a 404 that carries the cookie."""
    if host == "fc.yahoo.com":
        return Answer(404, "")
    if path == "/consent":
        return Answer(200, FORM)
    return Answer(200, "<html><body>OK</body></html>")
