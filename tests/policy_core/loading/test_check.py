"""Mistakes of a document: each is refused, in words that mend it."""

import json
from typing import NamedTuple

import pytest

from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED
from policy_core.loading.load import parse
from tests.support.cases import (
    OTHER_FILE,
    PACKAGED_FILE,
    other,
    problems,
)

REAL = PACKAGED_FILE.read_text("utf-8")
OTHER = OTHER_FILE.read_text("utf-8")
SCHEMA = json.loads((PACKAGED.parent / "policy.schema.json").read_text("utf-8"))


def edited(old: str, new: str, text: str = REAL) -> str:
    assert old in text, f"the document no longer has {old!r}"
    return text.replace(old, new, 1)


def line_of(marker: str, text: str) -> int:
    """The number of the one line that has `marker`."""
    (found,) = [number for number, line in enumerate(text.splitlines(), start=1) if marker in line]
    return found


class Mistake(NamedTuple):
    """An edit of the packaged document, and the problem that must be told of it."""

    name: str
    old: str
    new: str
    marker: str
    """What stands in the line that the problem must name, and in none before it."""
    path: str
    message: str


IS_ALLOGENEIC = "when: {fact: clinical.transplant.type, is: allogeneic}"
IS_REFRACTORY = "when: {fact: clinical.disease_status, is: refractory}"
NO_CONDITION = (
    "not a condition; write one of {fact: …, is: …}, {fact: …, in: […]}, {fact: …, includes: …}, "
    "{fact: …, at_least: …}, {days_between: […], below: …}, {line: …, is: …}, {request: …, is: …}, "
    "{count: …, at_least: …}, {at_least: …, of: […]}, {all: […]}, {any: […]}, {not: …}, {condition: …}, "
    "{indications_of: …}, {otherwise: true}"
)

SHAPES = [
    Mistake(
        "misspelt field",
        "says: The malignancy is hematologic.",
        "sayz: The malignancy is hematologic.",
        "sayz:",
        "conditions.2.sayz",
        "unknown field; did you mean `says`?",
    ),
    Mistake(
        "missing field",
        "    says: The malignancy is hematologic.\n",
        "",
        "- id: hematologic",
        "conditions.2.says",
        "missing; write `says: …`",
    ),
    Mistake(
        "misspelt field of a condition",
        IS_ALLOGENEIC,
        "when: {fct: clinical.transplant.type, is: allogeneic}",
        "{fct:",
        "conditions.1.when.fct",
        "unknown field; did you mean `fact`?",
    ),
    Mistake(
        "missing field of a condition",
        IS_ALLOGENEIC,
        "when: {not: {not: {is: allogeneic}}}",
        "{not: {not: {is",
        "conditions.1.when.not.not.fact",
        "missing; write `fact: …`",
    ),
    Mistake(
        "code that is a whole number",
        'code: "38242"',
        "code: 38242",
        "code: 38242",
        "codes.listed.0.code",
        'a number where text belongs; write it in quotes: "38242"',
    ),
    Mistake(
        "code that is a decimal number",
        'code: "99.09"',
        "code: 99.10",
        "code: 99.10",
        "codes.listed.7.code",
        'a number where text belongs; write it in quotes: "99.10"',
    ),
    Mistake(
        "diagnosis code that is a number",
        '"209"]',
        "209]",
        " 209]",
        "facts.0.derived.3.codes.1",
        'a number where text belongs; write it in quotes: "209"',
    ),
    Mistake(
        "condition without a shape",
        IS_ALLOGENEIC,
        "when: {fact: clinical.transplant.type, was: allogeneic}",
        "was: allogeneic",
        "conditions.1.when",
        NO_CONDITION,
    ),
    Mistake(
        "word for a condition",
        IS_ALLOGENEIC,
        "when: allogeneic",
        "when: allogeneic",
        "conditions.1.when",
        NO_CONDITION,
    ),
    Mistake(
        "list for a condition",
        IS_ALLOGENEIC,
        "when: [allogeneic]",
        "when: [allogeneic]",
        "conditions.1.when",
        NO_CONDITION,
    ),
    Mistake(
        "empty list of conditions",
        IS_ALLOGENEIC,
        "when: {all: []}",
        "{all: []}",
        "conditions.1.when.all",
        "empty; write at least one, or leave `all` out where it is not required",
    ),
    Mistake(
        "determination that no rule may give",
        "until: 2016-03-08, determination: policy_not_on_record}\n      - {since: 2016-03-08, determination: investig",
        "until: 2016-03-08, determination: denied}\n      - {since: 2016-03-08, determination: investig",
        "determination: denied",
        "rules.0.outcomes.0.determination",
        "`denied` cannot be written: no document refuses care; write `criteria_not_met` or `investigational`",
    ),
    Mistake(
        "day that does not exist",
        "date: 2002-02-14",
        'date: "2002-02-30"',
        "2002-02-30",
        "revisions.1.date",
        "`2002-02-30` is not in the calendar; write a year",
    ),
    Mistake(
        "format of another year",
        "format: 1",
        "format: 2",
        "format: 2",
        "format",
        "`2` cannot be written here; write `format: 1`",
    ),
    Mistake(
        "end before the beginning",
        "- {since: 2011-08-11, until: 2016-03-08, determination: not_addressed",
        "- {since: 2011-08-11, until: 2011-08-11, determination: not_addressed",
        "until: 2011-08-11",
        "rules.2.outcomes.0",
        "`until` is not after `since`; it names the first day on which this no longer holds",
    ),
    Mistake(
        "choice without values",
        "    values: [mixed, full_donor, recipient]\n",
        "",
        "- path: clinical.chimerism",
        "facts.7",
        "a choice needs `values`, each once",
    ),
    Mistake(
        "value that stands twice",
        "values: [mixed, full_donor, recipient]",
        "values: [mixed, full_donor, mixed]",
        "- path: clinical.chimerism",
        "facts.7",
        "a choice needs `values`, each once",
    ),
    Mistake(
        "date with values",
        "    kind: date\n",
        "    kind: date\n    values: [early, late]\n",
        "- path: clinical.transplant.date",
        "facts.5",
        "a date has no `values`; remove them, or write `kind: choice`",
    ),
    Mistake(
        "derived value outside the list",
        "{value: hematologic, system: icd-10-cm",
        "{value: blood, system: icd-10-cm",
        "- path: clinical.malignancy",
        "facts.0",
        "'blood' is not one of this fact's values; write one of ['hematologic', 'nonhematologic', 'none']",
    ),
    Mistake(
        "presumed set",
        "values: [treat_relapse, treat_refractory_disease, prevent_relapse, convert_mixed_chimerism]",
        "values: [treat_relapse, prevent_relapse, convert_mixed_chimerism]\n"
        "    presumed: {value: treat_relapse, because: It is.}",
        "- path: clinical.purposes",
        "facts.8",
        "a set can be neither derived nor presumed",
    ),
    Mistake(
        "clock without time",
        "    standard: {days: 7}\n    expedited: {hours: 48}",
        "    standard: {days: 0}\n    expedited: {hours: 48}",
        "standard: {days: 0}",
        "clocks.0.standard",
        "no time at all; write {days: …} or {hours: …}",
    ),
    Mistake(
        "redirected nowhere",
        "    outcomes:\n      - {since: 1998-08-01, until: 2024-04-29, determination: policy_not_on_record}",
        "    outcomes:\n      - {since: 1998-08-01, until: 2024-04-29, determination: redirected}",
        "determination: redirected}",
        "exceptions.0.outcomes.0",
        "`redirected` needs a `program` to go to, and nothing else has one",
    ),
]

PARTS = [
    Mistake(
        "unknown fact",
        IS_ALLOGENEIC,
        "when: {fact: clinical.transplant.tipe, is: allogeneic}",
        "tipe",
        "conditions.1.when",
        "no fact `clinical.transplant.tipe`; did you mean `clinical.transplant.type`?",
    ),
    Mistake(
        "unknown fact under a negation",
        "when: {not: {condition: allogeneic-transplant}}",
        "when: {not: {fact: clinical.transplant.tipe, is: allogeneic}}",
        "tipe",
        "rules.3.when",
        "no fact `clinical.transplant.tipe`; did you mean `clinical.transplant.type`?",
    ),
    Mistake(
        "value outside the list",
        IS_ALLOGENEIC,
        "when: {fact: clinical.transplant.type, is: alogeneic}",
        "is: alogeneic",
        "conditions.1.when",
        "'alogeneic' is no value of `clinical.transplant.type`; write one of: allogeneic, autologous, none",
    ),
    Mistake(
        "word for a boolean",
        "when: {fact: clinical.infusion.donor_is_transplant_donor, is: false}",
        'when: {fact: clinical.infusion.donor_is_transplant_donor, is: "no"}',
        'is: "no"',
        "rules.1.when",
        "'no' is no value of `clinical.infusion.donor_is_transplant_donor`; write one of: false, true",
    ),
    Mistake(
        "choice tested as a set",
        IS_ALLOGENEIC,
        "when: {fact: clinical.transplant.type, includes: allogeneic}",
        "includes: allogeneic",
        "conditions.1.when",
        "`clinical.transplant.type` is a choice; test it with {fact: clinical.transplant.type, is: …}",
    ),
    Mistake(
        "set tested as a choice",
        "when: {fact: clinical.purposes, includes: prevent_relapse}",
        "when: {fact: clinical.purposes, is: prevent_relapse}",
        "clinical.purposes, is:",
        "conditions.5.when",
        "`clinical.purposes` is a set; test it with {fact: clinical.purposes, includes: …}",
    ),
    Mistake(
        "date that decides",
        IS_ALLOGENEIC,
        'when: {fact: clinical.transplant.date, is: "2020-01-01"}',
        'is: "2020-01-01"',
        "conditions.1.when",
        "`clinical.transplant.date` is a date; test it with {days_between: [clinical.transplant.date, service_date], "
        "below: …}",
    ),
    Mistake(
        "fact inside a fact",
        "path: clinical.transplant.type",
        "path: clinical.malignancy.type",
        "path: clinical.malignancy.type",
        "facts.1.path",
        "`clinical.malignancy` is a fact itself and cannot hold others; rename one",
    ),
    Mistake(
        "condition that comes later",
        "when: {fact: clinical.infusion.leukocyte_modification, in: [genetic, other]}",
        "when: {condition: hematologic}",
        "when: {condition: hematologic}",
        "conditions.0.when",
        "no condition `hematologic` before this place; none is declared",
    ),
    Mistake(
        "indication that asks for indications",
        "when: {fact: clinical.disease_status, is: relapsed}",
        "when: {indications_of: S1}",
        "    when: {indications_of: S1}",
        "indications.0.when",
        "an indication cannot ask for indications; write its facts here",
    ),
    Mistake(
        "indications of no statement",
        "    when: {indications_of: S1}",
        "    when: {indications_of: S9}",
        "S9",
        "rules.6.when",
        "no statement `S9`; known: S1, S2, S3, S4",
    ),
    Mistake(
        "indication of no statement",
        "- id: S1-refractory\n    statement: S1",
        "- id: S1-refractory\n    statement: S9",
        "S9",
        "indications.1.statement",
        "no statement `S9`; known: S1, S2, S3, S4",
    ),
    Mistake(
        "id that stands twice",
        "- id: risks",
        "- id: what-it-is  # again",
        "# again",
        "description.1.id",
        "the id `what-it-is` stands here a second time; give each its own",
    ),
    Mistake(
        "rule that stands twice",
        "- id: no-malignancy",
        "- id: another-donor  # again",
        "# again",
        "rules.2.id",
        "the id `another-donor` stands here a second time; give each its own",
    ),
    Mistake(
        "fact that stands twice",
        "path: clinical.chimerism",
        "path: clinical.disease_status  # again",
        "# again",
        "facts.7.path",
        "the fact `clinical.disease_status` stands here a second time; give each its own",
    ),
    Mistake(
        "exception that stands twice",
        "line_of_business: state_and_school",
        "line_of_business: fep",
        "- id: state-and-school-employees",
        "exceptions.1",
        "the line of business `fep` stands here a second time; give each its own",
    ),
    Mistake(
        "outcomes that overlap",
        "      - {since: 2011-08-11, until: 2016-03-08, determination: policy_not_on_record}\n"
        "      - {since: 2016-03-08, determination: investigational, rests_on: [S3]}",
        "      - {since: 2011-08-11, determination: policy_not_on_record}\n"
        "      - {since: 2016-03-08, determination: investigational, rests_on: [S3]}",
        "rests_on: [S3]}",
        "rules.4.outcomes.1.since",
        "begins on 2016-03-08 while the one before it still holds; give that one `until: 2016-03-08`",
    ),
    Mistake(
        "edition on no revision's day",
        "  - since: 2016-03-08\n    on_record: true",
        "  - since: 2016-03-09\n    on_record: true",
        "  - since: 2016-03-09",
        "editions.2.since",
        "no revision begins on 2016-03-09; the nearest begins on 2016-03-08",
    ),
    Mistake(
        "first edition that is not the first revision's",
        "- since: 1998-08-01",
        "- since: 2002-02-14",
        "- since: 2002-02-14",
        "editions.0.since",
        "the first edition begins on 2002-02-14, the first revision on 1998-08-01; begin both alike",
    ),
    Mistake(
        "revisions out of order",
        "date: 2002-04-26",
        "date: 2002-02-14  # too early",
        "# too early",
        "revisions.2.date",
        "2002-02-14 does not come after 2002-02-14; put them in order, each day once",
    ),
    Mistake(
        "outcome on no edition's day",
        "{since: 2011-08-11, determination: not_addressed, reason: not_dli_by_definition",
        "{since: 2012-06-06, determination: not_addressed, reason: not_dli_by_definition",
        "{since: 2012-06-06, determination",
        "rules.1.outcomes.0.since",
        "no edition begins on 2012-06-06; the nearest begins on 2011-08-11",
    ),
    Mistake(
        "exception on no revision's day",
        "      - since: 2024-04-29\n        determination: redirected\n        program:\n          name: Federal",
        "      - since: 2024-05-01\n        determination: redirected\n        program:\n          name: Federal",
        "- since: 2024-05-01",
        "exceptions.0.outcomes.1.since",
        "no revision begins on 2024-05-01; the nearest begins on 2024-04-29",
    ),
    Mistake(
        "code listed on no revision's day",
        "listed: {since: 2005-01-10}",
        "listed: {since: 2005-01-11}",
        "listed: {since: 2005-01-11}",
        "codes.listed.0.listed.since",
        "no revision begins on 2005-01-11; the nearest begins on 2005-01-10",
    ),
    Mistake(
        "window that runs backwards",
        "listed: {since: 2004-09-02, until: 2005-01-10}",
        "listed: {since: 2005-01-10, until: 2004-09-02}",
        "{since: 2005-01-10, until: 2004-09-02}",
        "codes.listed.5.listed",
        "`until` is not after `since`; it names the first day on which this no longer holds",
    ),
    Mistake(
        "outcome that rests on nothing there is",
        "rests_on: [what-it-is]",
        "rests_on: [what-it-was]",
        "[what-it-was]",
        "rules.1.outcomes.0.rests_on.0",
        "no cited part `what-it-was`; did you mean `what-it-is`?",
    ),
    Mistake(
        "outcome that rests on a later statement",
        "reason: not_a_malignancy, rests_on: [S1]}",
        "reason: not_a_malignancy, rests_on: [S2]}",
        "rests_on: [S2]}\n",
        "rules.2.outcomes.0.rests_on.0",
        "`S2` is not in force on 2011-08-11; it holds from 2016-03-08",
    ),
    Mistake(
        "clock that is not there",
        "clock: ms-prior-authorization-reform-act}",
        "clock: ms-prior-authorisation}",
        "clock: ms-prior-authorisation}",
        "clock_for.0.clock",
        "no clock `ms-prior-authorisation`; did you mean `ms-prior-authorization-reform-act`?",
    ),
    Mistake(
        "clock of appeals that is not there",
        "clock: ms-prior-authorization-reform-act}",
        "clock: ms-prior-authorization-reform-act, appeals: cms-0057}",
        "appeals: cms-0057}",
        "clock_for.0.appeals",
        "no clock `cms-0057`; did you mean `cms-0057-f`?",
    ),
    Mistake(
        "validity that stands twice",
        "validity:\n  - line_of_business: commercial\n",
        "validity:\n  - {line_of_business: commercial, months: 3, rule: Another, says: Three months.}\n"
        "  - line_of_business: commercial  # again\n",
        "# again",
        "validity.1",
        "the line of business `commercial` stands here a second time; give each its own",
    ),
    Mistake(
        "adverse review that stands twice",
        "adverse_review:\n  - line_of_business: commercial\n",
        "adverse_review:\n  - {line_of_business: commercial, license_state: AL, rule: Another, says: Alabama.}\n"
        "  - line_of_business: commercial  # again\n",
        "# again",
        "adverse_review.1",
        "the line of business `commercial` stands here a second time; give each its own",
    ),
    Mistake(
        "code of the wrong length",
        'code: "86812"',
        'code: "868"',
        'code: "868"',
        "codes.listed.1.code",
        "a code of cpt has 5 characters",
    ),
    Mistake(
        "code of an unknown system",
        'system: cpt\n      code: "38242"',
        'system: cpd\n      code: "38242"',
        "system: cpd",
        "codes.listed.0.system",
        "no code system `cpd`; did you mean `cpt`?",
    ),
    Mistake(
        "code that stands twice, its dot left out",
        "- system: icd-10-pcs\n      code: 30233Q1\n      listed: {since: 2015-08-25}",
        '- system: icd-9-pcs  # again\n      code: "9909"',
        "# again",
        "codes.listed.8",
        "the code `icd-9-pcs 9909` stands here a second time; give each its own",
    ),
    Mistake(
        "guidance for a code that is not listed",
        "codes: [cpt 86812,",
        "codes: [cpt 86811,",
        "[cpt 86811,",
        "guidance.4.applies_to.codes.0",
        "no listed code `cpt 86811`; did you mean `cpt 86817`?",
    ),
    Mistake(
        "guidance for a reason that no rule gives",
        "reasons: [unlisted_high_risk_setting]",
        "reasons: [unlisted_high_risk]",
        "reasons: [unlisted_high_risk]",
        "guidance.3.applies_to.reasons.0",
        "no reason `unlisted_high_risk`; did you mean `unlisted_high_risk_setting`?",
    ),
    Mistake(
        "range of codes that runs backwards",
        "codes: [C81-C96, D46]",
        "codes: [C96-C81, D46]",
        "C96-C81",
        "facts.0.derived.0.codes.0",
        "`C96-C81` runs backwards and holds no code; begin with the lower",
    ),
    Mistake(
        "citation of an unknown section",
        "{section: history, ordinal: 2, sha256: 7",
        "{section: histories, ordinal: 2, sha256: 7",
        "section: histories",
        "revisions.1.cites.0.section",
        "no section of the source `histories`; did you mean `history`?",
    ),
    Mistake(
        "one sentence with two digests",
        "{section: policy, ordinal: 2, sha256: e71feb8305001124501354c69dbe4b1c054c0d0f5a59d5b56a87d72f8bdd27bc}\n"
        "      - {section: guidelines",
        "{section: policy, ordinal: 2, sha256: e71feb8305001124501354c69dbe4b1c054c0d0f5a59d5b56a87d72f8bdd27bd}\n"
        "      - {section: guidelines",
        "27bd}",
        "indications.2.cites.0.sha256",
        "policy 2 is cited elsewhere with another digest; one of them is wrong",
    ),
]

RULES = [
    Mistake(
        "case that no rule answers",
        "when: {otherwise: true}",
        "when: {fact: clinical.chimerism, is: recipient}",
        "- since: 2011-08-11\n    on_record: true",
        "editions.1",
        "from 2011-08-11 on, no rule answers the case clinical.malignancy = hematologic, "
        "clinical.transplant.type = allogeneic, clinical.transplant.original_determination = medically_necessary, ",
    ),
    Mistake(
        "rule that others shadow",
        "when: {fact: clinical.malignancy, is: none}\n    outcomes:",
        "when: {all: [condition: leukocytes-modified, {fact: clinical.malignancy, is: none}]}\n    outcomes:",
        "- id: no-malignancy",
        "rules.2",
        "can never apply from 2011-08-11 on: every case it means is taken before it, by `modified-leukocytes`; "
        "move it up or remove it",
    ),
    Mistake(
        "rule that two others shadow",
        "when: {condition: nonhematologic}\n    outcomes:",
        "when: {fact: clinical.transplant.type, in: [autologous, none]}\n    outcomes:",
        "- id: nonhematologic-malignancy",
        "rules.4",
        "can never apply from 2011-08-11 on: every case it means is taken before it, by `modified-leukocytes`, "
        "`another-donor`, `no-malignancy`, `no-allogeneic-transplant`; move it up or remove it",
    ),
    Mistake(
        "condition that is never true",
        "when: {condition: nonhematologic}\n    outcomes:",
        "when: {all: [condition: hematologic, condition: nonhematologic]}\n    outcomes:",
        "- id: nonhematologic-malignancy",
        "rules.4",
        "can never apply from 2011-08-11 on: its condition is never true; correct it or remove the rule",
    ),
    Mistake(
        "indication that always holds",
        IS_REFRACTORY + "\n    cites:",
        "when: {any: [condition: hematologic, {not: {condition: hematologic}}]}\n    cites:",
        "{any: [condition",
        "indications.1.when",
        "always holds from 2011-08-11 on; correct its condition",
    ),
    Mistake(
        "indication that never holds",
        IS_REFRACTORY + "\n    cites:",
        "when: {all: [condition: hematologic, {not: {condition: hematologic}}]}\n    cites:",
        "{all: [condition",
        "indications.1.when",
        "never holds from 2011-08-11 on; correct its condition",
    ),
    Mistake(
        "rule for an edition without statements",
        "{since: 2011-08-11, determination: not_addressed, reason: not_dli_by_definition",
        "{since: 1998-08-01, determination: not_addressed, reason: not_dli_by_definition",
        "    outcomes:\n      - {since: 1998-08-01, determination",
        "rules.1.outcomes",
        "says something of 1998-08-01, when no statement is on record; begin it later",
    ),
]


@pytest.mark.parametrize("mistake", [*SHAPES, *PARTS, *RULES], ids=lambda mistake: mistake.name)
def test_a_mistake_is_reported_with_line_path_and_remedy(mistake: Mistake) -> None:
    """A mistake is reported with its line, its path and what to write instead."""
    text = edited(mistake.old, mistake.new)
    line = text[: text.index(mistake.marker)].count("\n") + 1

    found = problems(text)

    expected = f"policy.yaml:{line}: {mistake.path}: {mistake.message}"
    assert expected in [one[: len(expected)] for one in found]


def test_the_documents_as_they_are_have_no_problem() -> None:
    assert [problems(REAL), problems(OTHER)] == [[], []]


def test_every_mistake_is_told_at_once_each_in_one_line() -> None:
    text = edited('code: "38242"', "code: 38242", edited("says: The malignancy is hematologic.", "", REAL))

    found = problems(text)

    assert [one.split(": ")[1] for one in found] == ["conditions.2.says", "codes.listed.0.code"]


def test_a_set_with_too_many_tested_values_is_refused() -> None:
    """A set of which too many values are asked for is refused before it is drawn."""
    values = [f"kind_{number}" for number in range(40)]
    asked = ", ".join(f"{{fact: clinical.hypoglycemia, includes: {one}}}" for one in values)
    text = edited("values: [mild, severe, at_night, unnoticed]", f"values: [{', '.join(values)}]", OTHER)
    text = edited("        - {fact: clinical.hypoglycemia, includes: severe}\n", "", text)
    text = edited("any:\n        - {fact: clinical.hypoglycemia, includes: unnoticed}\n", f"any: [{asked}]\n", text)

    line = line_of("values: [kind_0", text)
    message = "conditions ask for more than 10 of its values; make a fact of its own of some"
    assert problems(text) == [f"policy.yaml:{line}: facts.3.values: {message}"]


def test_named_conditions_may_build_on_each_other_however_deep() -> None:
    named = "".join(
        f"  - id: deeper-{number}\n    says: As before.\n"
        f"    when: {{all: [condition: {before}, condition: {before}]}}\n"
        for number in range(400)
        for before in [f"deeper-{number - 1}" if number else "grave-hypoglycemia"]
    )
    text = edited("\neditions:", f"{named}\neditions:", OTHER)
    text = edited("when: {condition: grave-hypoglycemia}", "when: {condition: deeper-399}", text)

    policy = Policy(parse(text.encode(), "deep.yaml"))

    assert [one.by_rule.variable for one in policy.editions.values()] == [
        one.by_rule.variable for one in other().editions.values()
    ]
