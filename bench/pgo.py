"""weir as tools/pgo builds it, beside the usual build (--weir)."""

import argparse
import pathlib
import subprocess
import sys

import loads
import plain
import rig

PROGRAM = rig.ROOT / "build" / "release-pgo" / "weir"


def run(suite: loads.Suite, options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """As loads.run(). What is there is not built again, and may be of older code."""
    if not PROGRAM.exists() and subprocess.run([str(rig.ROOT / "tools" / "pgo")]).returncode:
        sys.exit("bench: tools/pgo has failed")
    origin = rig.start_origin(options.cpus[1])
    proxies = []
    for name, program in zip(suite.proxies, (str(PROGRAM), options.weir)):
        own = folder / name.replace(" ", "-")
        own.mkdir()
        chosen = argparse.Namespace(**{**vars(options), "weir": program})
        proxies.append(plain.start("weir", suite.shape, chosen, own, origin)._replace(name=name))
    results = loads.measure_rounds(suite, proxies, options)
    rig.stop_all()
    return {"scenes": results, "calls": {}}
