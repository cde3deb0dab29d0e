"""Whether a dashboard is what Grafana's own JSON schemas say: itself, and of each panel what its type
and its data source define. Arguments: the dashboard, and the folder of the schemas."""

import json
import sys
from pathlib import Path

from jsonschema import validators

dashboard, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
found = []


def check(name, definition, where, value):
    schema = json.loads((folder / f"{name}.jsonschema.json").read_text())
    schema["$ref"] = f"#/definitions/{definition}"
    for error in validators.validator_for(schema)(schema).iter_errors(value):
        found.append(f"{where} {error.json_path}: {error.message}")


check("dashboard", "Dashboard", "dashboard", dashboard)
for panel in dashboard["panels"]:
    kind, title = panel["type"], panel["title"]
    check(kind, "Options", title, panel["options"])
    check(kind, "FieldConfig", title, panel["fieldConfig"]["defaults"].get("custom", {}))
    for target in panel["targets"]:
        check("prometheus", "Dataquery", title, target)
sys.exit("\n".join(found) or 0)
