"""Helm itself, as a library: renders a chart with each of the values that come on standard input, and lints it."""

import json
import sys

import helm_python

chart_folder = sys.argv[1]
with helm_python.Chart.load(chart_folder) as chart:
    answers = []
    for asked in json.load(sys.stdin):
        try:
            chart.validate_schema(asked["values"])
            answers.append({"rendered": chart.render(asked["values"], name="pac", namespace=asked["namespace"])})
        except helm_python.HelmError as error:
            answers.append({"refused": str(error)})
    print(json.dumps({"answers": answers, "lint": helm_python.lint(chart_folder, strict=True)}))
