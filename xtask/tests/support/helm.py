"""Helm itself, as a library. What is to be done comes as JSON on standard input, what came of it goes out the same way.

render: renders a chart with each of the values, and lints it. live: installs it, upgrades it with each further values, uninstalls it.
"""

import json
import sys

import helm_python

command, chart_folder, kubeconfig = sys.argv[1:4]
asked = json.load(sys.stdin)


def render():
    answers = []
    with helm_python.Chart.load(chart_folder) as chart:
        for one in asked:
            try:
                chart.validate_schema(one["values"])
                answers.append({"rendered": chart.render(one["values"], name="pac", namespace=one["namespace"])})
            except helm_python.HelmError as error:
                answers.append({"refused": str(error)})
    return {"answers": answers, "lint": helm_python.lint(chart_folder, strict=True)}


def live():
    namespace = asked["namespace"]
    with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as cluster:
        match asked["action"]:
            case "install":
                return cluster.install(chart_folder, "pac", asked["values"])["status"]
            case "upgrade":
                return cluster.upgrade(chart_folder, "pac", asked["values"])["status"]
            case "uninstall":
                cluster.uninstall("pac")
                return "uninstalled"


print(json.dumps({"render": render, "live": live}[command]()))
