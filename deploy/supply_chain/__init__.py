"""What the software is built from, audited: `make audit`.

Known vulnerabilities of every pin, the licences of what the image holds, its bill of materials, and our own code. The
answers that people gave lie beside the code: `advisories.yaml`, `licences.yaml`, `findings.yaml`.
"""
