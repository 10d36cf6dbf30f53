"""The official OpenAI client and a validator of OpenAPI documents; 77 where npm cannot install them."""

import os
import shutil
import subprocess
import sys
import tempfile

from support import EDIT, Server

TOKEN = "0123456789abcdef0123456789abcdef"
HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    if not shutil.which("npm") or not shutil.which("node"):
        print("skipped: there is no node")
        sys.exit(77)
    keep = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = os.path.join(keep, "veetance-tests", "server")
    folder = tempfile.mkdtemp(prefix="veetance-clients-")
    try:
        for name in ("package.json", "package-lock.json", "clients_test.mjs", "typed_test.ts"):
            shutil.copy(os.path.join(HERE, name), folder)
        r = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline",
                            "--cache", cache], cwd=folder, capture_output=True, timeout=200, check=False)
        if r.returncode:
            print("skipped: npm cannot install the clients: " + r.stderr.decode(errors="replace")[-500:])
            sys.exit(77)
        token = os.path.join(folder, "token")
        with open(token, "w", encoding="ascii") as f:
            f.write(TOKEN)
        os.chmod(token, 0o600)
        with Server(sys.argv[1]) as s, Server(sys.argv[1], "--token", token, "--queue", "1") as guarded:
            base = f"http://127.0.0.1:{s.port}"
            for command in (
                    ["node", "clients_test.mjs", base, EDIT, f"http://127.0.0.1:{guarded.port}", TOKEN],
                    ["node_modules/.bin/openapi-typescript", base + "/openapi.json", "--default-non-nullable=false",
                     "-o", "api.d.ts"],
                    ["node_modules/.bin/tsc", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module",
                     "nodenext", "--skipLibCheck", "typed_test.ts"],
                    ["node", "typed_test.js", base]):
                subprocess.run(command, cwd=folder, check=True, timeout=200)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
