"""The form for a new run: all of the plan is on it, and nothing that was typed gets lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from django.urls import reverse

from federation.plan import Plan
from hub.catalogue.versions.releases import release_version
from hub.runs import services
from hub.runs.models import Run
from hub.runs.planforms import ADAPTERS, PlanForm, parts_of, plan_from, plan_schema
from hub.runs.planwords import described, survival
from jobs.compute import prepare_run
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import World, make_world, plan_of
from tests.pages import browser, once, words

MAPPING = Plan.model_json_schema()["properties"]["task"]["discriminator"]["mapping"]
TASKS = sorted(MAPPING, key=lambda name: name != "sequence_classification")
LABELS = ["ham", "spam"]
KINDS = [*((task, "lora") for task in TASKS), *((TASKS[0], adapter) for adapter in ADAPTERS)]
every_kind = pytest.mark.parametrize(("task", "adapter"), KINDS)


def whole(task: str, adapter: str = "lora") -> Plan:
    given = {
        "task": {"type": task, **({"labels": LABELS} if "classification" in task else {})},
        "adapter": {"type": adapter},
        "aggregation": {"strategy": "fedavg"},
    }
    return Plan.model_validate(given, strict=False)


def sent(form: PlanForm, **changes: Any) -> dict[str, Any]:
    """What a browser sends of a form as it came."""
    fields = {field.html_name: field.value() for field in form if field.value() is not None}
    return {**fields, **changes}


def submit(form: PlanForm, **changes: Any) -> PlanForm:
    data = QueryDict(mutable=True)
    for name, value in sent(form, **changes).items():
        data.setlist(name, value) if isinstance(value, list) else data.update({name: value})
    return PlanForm(data, task=form.task, adapter=form.adapter)


def leaves(schema: dict[str, Any], task: str, adapter: str) -> set[str]:
    """Every value of a plan of this kind, by its path; found without the form's own code."""
    found = set()
    for name, part in schema["properties"].items():
        kinds = part.get("discriminator", {}).get("mapping", {})
        reference = part.get("$ref") or kinds.get(task) or kinds.get(adapter)
        if reference is None:
            found |= set() if "const" in part else {name}
            continue
        inner = schema["$defs"][reference.rpartition("/")[2]]["properties"]
        found |= {f"{name}-{leaf}" for leaf, about in inner.items() if "const" not in about}
    return found


@every_kind
def test_every_value_of_the_plan_is_on_the_form_once(task, adapter):
    form = PlanForm(task=task, adapter=adapter)
    assert set(form.fields) == leaves(Plan.model_json_schema(), task, adapter)
    shown = [s.field.name for part in form.sections for s in (*part.main, *part.more)]
    assert sorted(shown) == sorted(form.fields)


@every_kind
def test_every_field_has_a_name_and_the_schemas_bounds(task, adapter):
    form = PlanForm(task=task, adapter=adapter)
    for _, _, fields in parts_of(plan_schema(), {"task": task, "adapter": adapter}):
        for path, schema in fields.items():
            field = form.fields["-".join(path)]
            wanted = schema.get("anyOf", [schema])[0]
            assert field.label == schema["title"]
            may_be_empty = wanted.get("type") == "array" and "minItems" not in wanted
            is_optional = "anyOf" in schema or wanted.get("type") == "boolean" or may_be_empty
            assert field.required != is_optional
            assert field.widget.attrs.get("min") == wanted.get("minimum")
            if "maximum" in wanted:
                assert field.widget.attrs["max"] == wanted["maximum"]


@every_kind
def test_a_form_sent_as_it_came_gives_the_plan_it_came_with(task, adapter):
    plan = whole(task, adapter)
    given = plan.model_dump(mode="json")
    form = submit(PlanForm(task=task, adapter=adapter, given=given))
    assert form.is_valid(), form.errors
    assert form.plan == plan


@every_kind
def test_the_plan_is_known_before_the_form_is_sent(task, adapter):
    plan = whole(task, adapter)
    given = plan.model_dump(mode="json")
    assert plan_from(PlanForm(task=task, adapter=adapter, given=given)) == plan
    assert plan_from(PlanForm(task="sequence_classification")) is None  # no labels


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("adapter-rank", "0", "Must be greater than or equal to 1."),
        ("adapter-rank", "many", "Enter a whole number."),
        ("training-learning_rate", "0", "Must be greater than 0."),
        ("rounds-count", "10001", "Must be less than or equal to 10000."),
        ("task-labels", "one", "Needs at least 2 items, not 1."),
        ("task-labels", "one\none", "Labels must be distinct."),
        ("aggregation-strategy", "magic", "Select a valid choice."),
        ("seed", "-1", "Must be greater than or equal to 0."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(field, value, message):
    form = PlanForm(task=TASKS[0], given=whole(TASKS[0]).model_dump(mode="json"))
    refused = submit(form, **{field: value})
    assert not refused.is_valid()
    assert set(refused.errors) == {field}
    assert str(refused.errors[field][0]).startswith(message)
    assert refused[field].value() == value


@pytest.mark.parametrize("text", ["ham\nspam", "ham, spam", " ham \n\n spam\n", "ham,spam,"])
def test_labels_are_one_a_line_or_with_commas(text):
    form = submit(PlanForm(task=TASKS[0]), **{"task-labels": text})
    assert form.is_valid(), form.errors
    assert form.plan.task.labels == ("ham", "spam")


def test_a_label_may_hold_a_comma_when_there_are_lines():
    form = submit(PlanForm(task=TASKS[0]), **{"task-labels": "ham, cooked\nspam"})
    assert form.is_valid()
    assert form.plan.task.labels == ("ham, cooked", "spam")


def test_a_fault_among_the_further_settings_unfolds_them():
    form = PlanForm(task=TASKS[0], given=whole(TASKS[0]).model_dump(mode="json"))
    assert not any(section.is_open for section in form.sections)
    refused = submit(form, **{"training-weight_decay": "7"})
    assert not refused.is_valid()
    assert [s.name for s in refused.sections if s.is_open] == ["training"]


@every_kind
def test_a_plan_is_described_value_by_value(task, adapter):
    facts = [fact for part in described(whole(task, adapter)) for fact in part.facts]
    assert len(facts) == len(leaves(Plan.model_json_schema(), task, adapter))
    assert all(fact.label and (fact.text or fact.words) for fact in facts)


def test_switches_are_sent_on_and_off():
    given = whole(TASKS[0]).model_dump(mode="json")
    form = submit(PlanForm(task=TASKS[0], given=given), **{"adapter-dora": "on"})
    assert form.is_valid(), form.errors
    assert form.plan.adapter.dora
    del form.data["adapter-dora"]  # as browsers do
    assert PlanForm(form.data, task=TASKS[0]).is_valid()


def test_parts_that_do_not_go_together_are_refused_with_the_reason():
    given = whole(TASKS[0], "ia3").model_dump(mode="json")
    form = PlanForm(task=TASKS[0], adapter="ia3", given=given)
    refused = submit(form, **{"aggregation-strategy": "stack_svd"})
    assert not refused.is_valid()
    assert "ia3 has none: choose fedavg" in str(refused.non_field_errors())


def test_advanced_settings_are_folded_away():
    for task, adapter in KINDS:
        form = PlanForm(task=task, adapter=adapter)
        shown = {s.field.name for part in form.sections for s in part.main}
        advanced = ("proximal_mu", "gradient_checkpointing", "base_weights", "precision")
        assert not {f"training-{name}" for name in advanced} & shown
        assert not {"adapter-dora", "adapter-rslora", "task-packing"} & shown


# ------------------------------------------------------------------ the page


def address(world: World) -> str:
    return reverse("runs:new", args=[world.federation.slug])


def filled(world: World, **changes: Any) -> dict[str, Any]:
    """What the page sends when two labels are given."""
    client = browser(world.lead)
    page = client.get(address(world))
    form = page.context["form"]
    places = [str(choice[0]) for choice in form.fields["trainers"].choices]
    return {
        **sent(form),
        "trainers": places,
        "once": once(page),
        "task-labels": "ham, spam",
        "adapter-targets": "query",
        **changes,
    }


def test_a_run_is_drafted_and_started_from_the_form(world: World) -> None:
    client = browser(world.lead)
    answer = client.post(address(world), {**filled(world), "name": "Mine", "draft": "1"})
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("runs:detail", args=[run.pk])
    assert (run.name, run.state, len(run.trainers)) == ("Mine", "draft", 3)
    client.post(address(world), {**filled(world), "name": "Now", "start": "1"})
    assert Run.objects.get(name="Now").state == "queued"


def test_sent_twice_it_makes_one_run(world: World) -> None:
    data = {**filled(world), "start": "1"}
    answers = [browser(world.lead).post(address(world), data) for _ in range(2)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert Run.objects.count() == 1


def test_who_trains_is_chosen(world: World) -> None:
    chosen = filled(world)["trainers"][:2]
    browser(world.lead).post(address(world), {**filled(world), "trainers": chosen})
    assert [str(pk) for pk in Run.objects.get().trainers] == chosen
    nobody = browser(world.lead).post(address(world), {**filled(world), "trainers": []})
    assert "Somebody has to train." in words(nobody)


def test_what_the_service_refuses_is_said_and_nothing_is_lost(world: World) -> None:
    data = filled(world, **{"rounds-quorum": "9", "name": "Keep me"})
    answer = browser(world.lead).post(address(world), data)
    assert "This plan cannot work. A quorum of 9 cannot be reached" in words(answer)
    assert 'value="Keep me"' in answer.content.decode()
    assert not Run.objects.exists()


def test_what_was_typed_wrong_stands_beside_its_field(world: World) -> None:
    answer = browser(world.lead).post(address(world), filled(world, **{"adapter-rank": "0"}))
    page = answer.content.decode()
    assert "Must be greater than or equal to 1." in page
    assert 'href="#id_adapter-rank"' in page
    assert 'aria-invalid="true"' in page


def test_the_form_begins_with_the_last_run(world: World) -> None:
    first = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="One", plan=plan_of(count=7)
    )
    services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="Two", plan=plan_of(count=9)
    )
    client = browser(world.lead)
    page = client.get(address(world))
    assert page.context["form"]["rounds-count"].value() == 9
    assert page.context["form"]["name"].value() == "Run 3"
    assert "ham\nspam" in page.content.decode()
    again = client.get(address(world), {"like": first.number})
    assert again.context["form"]["rounds-count"].value() == 7


def test_a_newcomer_s_own_organisation_is_ticked(world: World) -> None:
    lead, _, own = (site.agent.organisation for site in world.sites)
    trainers = [world.federation.participations.get(organisation=one).pk for one in (lead, own)]
    plan, federation = plan_of(quorum=1), world.federation.pk
    services.create_run(
        user=world.lead, federation_id=federation, name="One", plan=plan, trainers=trainers[:1]
    )
    user = MembershipFactory(organisation=own).user
    ticked = browser(user).get(address(world)).context["form"]["trainers"].value()
    assert ticked == trainers


def test_without_a_run_it_begins_with_what_suits_the_base_model(world: World) -> None:
    base = world.federation.base_model
    base.architecture = "LlamaForCausalLM"
    base.save()
    form = browser(world.lead).get(address(world)).context["form"]
    assert form.task == "causal_lm"
    assert tuple(form["adapter-targets"].initial) == ("q_proj", "v_proj")
    other = browser(world.lead).get(address(world), {"task": "sequence_classification"})
    assert other.context["form"].task == "sequence_classification"


def test_what_is_trained_is_chosen_and_begins_with_what_suits_it(world: World) -> None:
    page = browser(world.lead).get(address(world), {"adapter": "ia3"})
    form = page.context["form"]
    assert "adapter-feedforward" in form.fields
    assert form["aggregation-strategy"].value() == "fedavg"
    assert "All weights" in words(page)
    data = {**sent(form), "trainers": filled(world)["trainers"], "once": once(page)}
    labels = {"task-labels": "ham, spam", "adapter-targets": "query"}
    browser(world.lead).post(f"{address(world)}?adapter=ia3", {**data, **labels, "draft": "1"})
    assert Run.objects.get().plan["adapter"]["type"] == "ia3"
    again = browser(world.lead).get(address(world)).context["form"]
    assert "adapter-feedforward" in again.fields


def test_a_version_of_another_shape_is_no_start(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    version = run.rounds.get().version
    data = filled(world, parent=str(version.pk))
    page = words(browser(world.lead).post(address(world), data))
    assert "v1 was trained with other targets." in page
    targets = {"adapter-targets": "\n".join(version.plan["adapter"]["targets"])}
    browser(world.lead).post(address(world), {**data, **targets})
    assert Run.objects.latest("created_at").parent_version == version


def test_after_a_rollback_the_next_run_starts_from_the_older_weights(world: World) -> None:
    world.play_round(world.start_run(plan_of(count=2)))
    world.play_round(world.federation.runs.get())
    older, newer = world.federation.versions.order_by("number")
    assert older.adapter_id != newer.adapter_id
    fresh = browser(world.lead).get(address(world)).context["form"]
    assert not fresh["parent"].value()
    for version, reason in ((older, ""), (newer, ""), (older, "harms the smallest")):
        release_version(user=world.lead, version_id=version.pk, reason=reason)
    page = browser(world.lead).get(address(world))
    data = {**sent(page.context["form"]), "once": once(page), "name": "On", "start": "1"}
    data["trainers"] = [str(one[0]) for one in page.context["form"].fields["trainers"].choices]
    assert data["parent"] == older.pk
    browser(world.lead).post(address(world), data)
    run = Run.objects.get(name="On")
    prepare_run(str(run.pk))
    assert run.parent_version == older
    assert run.rounds.get(number=1).start_id == older.adapter_id


def test_what_is_released_is_no_start_of_another_shape(world: World) -> None:
    world.play_round(world.start_run(plan_of(count=1)))
    released = world.federation.versions.get()
    release_version(user=world.lead, version_id=released.pk)
    client = browser(world.lead)
    assert client.get(address(world)).context["form"]["parent"].value() == released.pk
    other = client.get(address(world), {"adapter": "ia3"}).context["form"]
    assert not other["parent"].value()


def test_past_rounds_say_what_a_run_will_cost(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    client = browser(world.lead)
    page = words(client.get(address(world)))
    assert "1 round takes about 1.5 s of training" in page
    twice = {**filled(world), "rounds-count": "10", "training-epochs": "2", "forecast": "1"}
    part = client.post(address(world), twice)
    assert "<html" not in part.content.decode()
    assert "10 rounds take about 28 s of training" in words(part)  # 13 steps of 16, not 2 x 7
    few = {**filled(world), "training-max_steps": "1", "forecast": "1"}
    assert "1 round takes about 214 ms" in words(client.post(address(world), few))
    assert Run.objects.count() == 1


def test_without_past_rounds_nobody_guesses(world: World) -> None:
    part = browser(world.lead).post(address(world), {**filled(world), "forecast": "1"})
    assert "figures appear after the first" in words(part)
    wrong = {**filled(world), "rounds-count": "0", "forecast": "1"}
    assert "when the plan is complete and valid" in words(
        browser(world.lead).post(address(world), wrong)
    )


def test_the_form_takes_few_queries(world: World, django_assert_max_num_queries) -> None:
    world.play_round(world.start_run())
    client = browser(world.lead)
    with django_assert_max_num_queries(10):
        client.get(address(world))


def test_strangers_begin_no_run(world: World) -> None:
    stranger = browser(make_world(world.folder).lead)
    assert stranger.post(address(world), filled(world)).status_code == 404
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("aggregation", "members", "said"),
    [
        ({}, 9, "Plain shares: survive 0 lies, whatever the number of updates."),
        ({"rule": "krum", "liars": 2}, 7, "Krum: survives 2 lies among 7 updates."),
        ({"combination": "median"}, 4, "Median: survives 1 lie among 4 updates."),
        ({"rule": "fltrust", "root": "ada"}, 11, "FLTrust: survives 4 lies among 11 updates."),
    ],
)
def test_how_many_lies_the_members_survive_is_said_in_words(aggregation, members, said):
    document = {
        "task": {"type": "sequence_classification", "labels": LABELS},
        "rounds": {"quorum": 7},
        "aggregation": aggregation,
    }
    assert survival(Plan.model_validate(document, strict=False), members) == said


def test_a_guard_that_needs_more_updates_than_the_quorum_is_refused_beside_the_form():
    form = submit(
        PlanForm(task=TASKS[0], given=whole(TASKS[0]).model_dump(mode="json")),
        **{"aggregation-strategy": "stack_svd", "aggregation-rule": "krum"},
    )
    assert not form.is_valid()
    assert "Krum needs 5 updates" in str(form.errors)
