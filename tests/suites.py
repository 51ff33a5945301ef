"""suites.py - run Python's unittests and print a line for each: its name, a tab, how it ended

usage: suites.py LEFT_OUT MODULE...   LEFT_OUT: a regular expression for the names of tests that aren't run"""
import re
import sys
import unittest


class Lines(unittest.TestResult):
    def say(self, test, how, error=None):
        print(test.id(), how, sep="\t", flush=True)
        if error is not None:
            print(test.id(), self._exc_info_to_string(error, test), sep="\n", file=sys.stderr)

    def addSuccess(self, test):
        self.say(test, "passed")

    def addSkip(self, test, reason):
        self.say(test, "skipped")

    def addFailure(self, test, error):
        self.say(test, "failed", error)

    addError = addFailure

    def addExpectedFailure(self, test, error):
        self.say(test, "failed as expected")

    def addUnexpectedSuccess(self, test):
        self.say(test, "passed unexpectedly")

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.say(subtest, "failed", error)


def chosen(suite, left_out):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, left_out)
        elif not left_out.search(test.id()):
            yield test


if __name__ == "__main__":
    load = unittest.defaultTestLoader.loadTestsFromNames
    unittest.TestSuite(chosen(load(sys.argv[2:]), re.compile(sys.argv[1]))).run(Lines())
