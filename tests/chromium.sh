#!/bin/sh
# A real Chromium for the tests that open the report's page. Installed where the system's package manager can do it
# without asking; where it cannot, those tests say that they were skipped, and why.
set -u
for name in "${LAKON_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Chromium for the tests of the report's page"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 ||
        echo "Chromium could not be installed: the tests that open a page will be skipped"
fi
exit 0
