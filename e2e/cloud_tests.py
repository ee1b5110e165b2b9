"""What an emulator needs before tests can use it.

container URL NAME   makes a container in an Azure Blob emulator
"""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.request

# The account that every emulator has; its key is documented.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def container(url, name):
    date, version = email.utils.formatdate(usegmt=True), "2021-12-02"
    # Shared Key: the verb, eleven headers that are empty here, the x-ms headers, the resource.
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}",
    }
    request = urllib.request.Request(f"{url}/{ACCOUNT}/{name}?restype=container", method="PUT", headers=headers)
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"container": container}[command](*arguments)
