"""What `meson install` and the Debian package put where."""

import pathlib

PROGRAMS = [
    "/usr/bin/sluice-replay",
    "/usr/bin/sluicectl",
    "/usr/sbin/sluiced",
]
CONFIGURATION = [
    "/etc/default/sluiced",
    "/etc/logrotate.d/sluice",
    "/etc/sluice/pf.conf",
    "/etc/sluice/sluice.toml",
    "/etc/sysctl.d/60-sluice.conf",
]
SERVICE = [
    "/lib/systemd/system/sluice-nic@.service",
    "/lib/systemd/system/sluiced.service",
    "/lib/udev/rules.d/60-sluice.rules",
    "/usr/lib/sysusers.d/sluice.conf",
    "/usr/lib/tmpfiles.d/sluice.conf",
]
EXAMPLES = [
    f"/usr/share/doc/sluice/examples/{name}"
    for name in ("first.conf", "interfaces.conf", "netboot.conf",
                 "office.conf", "office.test", "router.conf", "sluice-pci.toml",
                 "sluice.toml")
]
SECTIONS = [
    f"/usr/share/doc/sluice/examples/sections/{path.name}"
    for path in (pathlib.Path(__file__).resolve().parents[2] /
                 "configs/examples/sections").iterdir()
]
MANUAL = [
    "/usr/share/man/man1/sluice-replay.1",
    "/usr/share/man/man5/sluice-pf.conf.5",
    "/usr/share/man/man5/sluice-test.5",
    "/usr/share/man/man5/sluice.toml.5",
    "/usr/share/man/man7/sluice-drops.7",
    "/usr/share/man/man8/sluicectl.8",
    "/usr/share/man/man8/sluiced.8",
]
MONITORING = [
    f"/usr/share/sluice/monitoring/{name}"
    for name in ("alerts.yml", "grafana-dashboard.json")
]
COMPLETION = [
    "/usr/share/bash-completion/completions/sluicectl",
    "/usr/share/fish/vendor_completions.d/sluicectl.fish",
    "/usr/share/zsh/vendor-completions/_sluicectl",
]
_TOP = pathlib.Path(__file__).resolve().parents[2]
_PAGES = [_TOP / "README.md"] + [
    _TOP / "docs" / f"{name}.md"
    for name in ("architecture", "configuration", "control-protocol", "drops",
                 "evasion", "first-day", "json", "language",
                 "language-coverage", "operation", "policy-tests", "replay",
                 "scenarios", "snapshot-format", "translation")
]
PICTURES = [f"/usr/share/doc/sluice/{name}.png"
            for name in ("board", "top", "web-dark", "web-light",
                         "web-narrow")]
DOCUMENTS = [f"/usr/share/doc/sluice/{path.name}" for path in _PAGES]
SCHEMA = ["/usr/share/sluice/json-schema.json", "/usr/share/sluice/sluice.os"]
INSTALLED = sorted(PROGRAMS + CONFIGURATION + SERVICE + EXAMPLES + SECTIONS +
                   MONITORING + COMPLETION + MANUAL + DOCUMENTS + PICTURES +
                   SCHEMA)

# Debian compresses manuals and what is larger than 4 KiB, and adds its own
# papers.
PACKAGED = sorted(
    PROGRAMS + CONFIGURATION + SERVICE + EXAMPLES + SECTIONS + SCHEMA +
    MONITORING + COMPLETION + PICTURES +
    [f"/usr/share/doc/sluice/{path.name}" +
     (".gz" if path.stat().st_size > 4096 else "") for path in _PAGES] +
    [f"{page}.gz" for page in MANUAL] +
    ["/usr/share/doc/sluice/changelog.gz", "/usr/share/doc/sluice/copyright"])
