"""Ends with an error unless the newest run under results/ ran every cell and left nothing open but latency and throughput."""

import json
import sys
from pathlib import Path

newest = max(Path("results").glob("*/*/record.json"), key=lambda path: path.stat().st_mtime)
record = json.loads(newest.read_text())
not_run = [cell["id"] for cell in record["cells"] if cell["status"] != "ok"]
beside = [
    decision["check"]
    for decision in record["decisions"]
    if decision["verdict"] != "PASS"
    and not (decision["verdict"] == "INCONCLUSIVE" and decision["check"].startswith(("latency ", "throughput ")))
]
if not_run or beside or not record["cells"]:
    sys.exit(f"{newest}: expected every cell to run and only timing to be open, got {not_run} and {beside}")
print(f"{newest}: only timing is open")
