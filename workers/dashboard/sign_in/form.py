"""The login page, the only page shown without a token."""

from html import escape

from starlette.responses import HTMLResponse


def form(wrong: str = "", status: int = 401) -> HTMLResponse:
    """The page with an error message."""
    alert = f'<p role="alert">{escape(wrong)}</p>' if wrong else ""
    return HTMLResponse(FORM.format(alert=alert), status if wrong else 200, headers={"cache-control": "no-store"})


FORM = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dli dashboard</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ max-width: 24rem; margin: 15vh auto; padding: 0 1rem; }}
  input, button {{ font: inherit; width: 100%; padding: .6rem; margin-top: .5rem; box-sizing: border-box; }}
</style>
<main>
<h1>dli dashboard</h1>
{alert}
<form method="post" action="/login">
  <label for="token">Token (DLI_DASHBOARD_TOKEN, or DLI_DASHBOARD_ACT_TOKEN to act)</label>
  <input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
  <button>Open</button>
</form>
</main>
</html>
"""
