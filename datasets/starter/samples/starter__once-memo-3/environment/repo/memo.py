"""Remembers what slow calls have answered."""


class Memo:
    def __init__(self, call, limit=128):
        self.call = call
        self.limit = limit
        self.results = {}
        self.failures = {}

    def get(self, key):
        """What the call answers for a key, now or earlier."""
        if key in self.failures:
            raise self.failures[key]
        if key not in self.results:
            try:
                self.results[key] = self.call(key)
            except Exception as error:
                self.failures[key] = error
                raise
        if len(self.results) > self.limit:
            self.results.popitem()
        return self.results[key]

    def forget(self, key):
        self.results.pop(key, None)
