"""Fills values into HTML."""

import re


def render(template, values):
    for name, value in values.items():
        template = template.replace("{{{" + name + "}}}", str(value))
        template = template.replace("{{" + name + "}}", escape(str(value)))
    return re.sub(r"\{\{[^}]*\}\}", "", template)


def escape(text):
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("&", "&amp;").replace('"', "&quot;")
