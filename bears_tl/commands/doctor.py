"""Check this installation; name the command that mends it."""

EXAMPLE = "bears doctor"


def add(parser) -> None:
    pass


def run(options) -> int:
    from bears_tl.doctor.facts import gather
    from bears_tl.doctor.rules import BAD, GOOD, examine

    findings = examine(gather())
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.grade:<8} {finding.subject:<{width}}  {finding.says}")
        if finding.mend:
            print(f"{'':<8} {'':<{width}}  mend it: {finding.mend}")
    grades = [finding.grade for finding in findings]
    print("all is good" if set(grades) == {GOOD} else f"{grades.count(BAD)} bad, {grades.count('warning')} warnings")
    return 2 if BAD in grades else 0
