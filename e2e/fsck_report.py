"""Reads what `levee fsck --output json` wrote.

fsck_report.py clean REPORT                   nothing was found but garbage that a collector has yet to delete
fsck_report.py damaged REPORT KEY PROBLEM     one thing is damaged: this object, in this way, and records with it
fsck_report.py summary REPORT
"""

import json
import sys


def clean(report):
    others = [finding for finding in report["findings"] if finding["problem"] != "garbage"]
    assert report["verdict"] == "clean" and report["complete"] and not others, json.dumps(others, indent=1)


def damaged(report, key, problem):
    found = [finding for finding in report["findings"] if finding["severity"] == "damage"]
    right = len(found) == 1 and (found[0]["key"], found[0]["problem"]) == (key, problem) and found[0]["affected"]
    assert report["verdict"] == "damaged" and right, json.dumps(found, indent=1)
    print(found[0]["detail"])


def summary(report):
    counts = report["counts"]
    print(f"{counts['objects']} registered and {counts['log_objects']} other objects, {counts['batches']} batches, "
          f"{counts['bytes_read'] >> 20} MiB in {report['requests']['get']} reads, {report['seconds']:.1f} s")


if __name__ == "__main__":
    with open(sys.argv[2]) as file:
        document = json.load(file)
    {"clean": clean, "damaged": damaged, "summary": summary}[sys.argv[1]](document, *sys.argv[3:])
