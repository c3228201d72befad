"""Free times between bookings. All times are minutes since midnight."""


def free_slots(opening, closing, bookings, minutes):
    """The free times of at least so many minutes, in order."""
    bookings.sort()
    free = []
    at = opening
    for start, end in bookings:
        if start - at > minutes:
            free.append((at, start))
        at = end
    return free


def split(slot, minutes):
    """Appointments of one length that fit into a free time."""
    start, end = slot
    return [(at, at + minutes) for at in range(start, end, minutes)]
