"""Reads comma separated text."""


def read_rows(text):
    """The rows of a text, each a list of strings."""
    rows = []
    for line in text.split("\n"):
        if line == "":
            continue
        fields = []
        for field in line.split(","):
            if field.startswith('"') and field.endswith('"'):
                field = field[1:-1]
            fields.append(field)
        rows.append(fields)
    return rows


def write_rows(rows):
    """The text of rows; what needs quotes gets them."""
    return "".join(",".join(quoted(field) for field in row) + "\r\n" for row in rows)


def quoted(field):
    if any(character in field for character in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field
