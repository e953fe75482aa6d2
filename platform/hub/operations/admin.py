"""Acts that reach over several apps, put on the pages of the rows they begin from."""

from __future__ import annotations

from django.contrib import admin

from hub.catalogue.models import Upload, UploadState
from hub.common.acts import Act, offer
from hub.common.console import ReadOnlyAdmin, moment, state
from hub.common.models import OutboxMessage
from hub.federations.models import Federation, FederationState
from hub.operations import hub_acts, life, people_acts, services  # noqa: F401 (offer their own)
from hub.operations.models import FailedJob, FailedJobState, Process
from hub.runs.models import Round, Run, RunState, Task, TaskState, Update, UpdateState
from hub.runs.selectors import ACTIVE_ROUNDS


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    list_display = ("name", "program", "state", "version", moment("seen_at", "last seen"), "done")
    list_filter = ("program",)
    search_fields = ("name",)


@admin.register(FailedJob)
class FailedJobAdmin(ReadOnlyAdmin):
    list_display = ("__str__", state, "error", "times", moment("failed_at", "last"), "worker")
    list_filter = ("state", "job", "error")
    search_fields = ("arguments", "id__exact")
    date_hierarchy = "failed_at"
    ordering = ("-failed_at",)


offer(
    Run,
    Act(
        name="nudge",
        label="Look at it now",
        consequence="The worker is asked to take the run's next step, if one is due.",
        perform=lambda pk, who, why: services.nudge_run(run_id=pk, actor=who, reason=why),
        states=frozenset({RunState.QUEUED, RunState.RUNNING}),
        icon="notifications_active",
    ),
    Act(
        name="fail",
        label="Fail the run",
        consequence="The run and its present round end here, for good. Versions that earlier "
        "rounds made stay. Agents learn it with their next heartbeat.",
        perform=lambda pk, who, why: services.fail_run(run_id=pk, actor=who, reason=why),
        states=frozenset({RunState.QUEUED, RunState.RUNNING}),
        is_dangerous=True,
        icon="cancel",
    ),
)
offer(
    Round,
    Act(
        name="nudge",
        label="Look at it now",
        consequence="A worker is asked to aggregate the round, or to close it if it is due.",
        perform=lambda pk, who, why: services.nudge_round(round_id=pk, actor=who, reason=why),
        states=frozenset(ACTIVE_ROUNDS),
        icon="notifications_active",
    ),
    Act(
        name="fail",
        label="Fail the round and its run",
        consequence="The round ends without a result, and a run ends with its round. Versions that "
        "earlier rounds made stay. Agents learn it with their next heartbeat.",
        perform=lambda pk, who, why: services.fail_round(round_id=pk, actor=who, reason=why),
        states=frozenset(ACTIVE_ROUNDS),
        is_dangerous=True,
        icon="cancel",
    ),
)
offer(
    Task,
    Act(
        name="requeue",
        label="Requeue",
        consequence="The lease is taken back and the task offered again at once. What the agent "
        "that has it now sends later is refused.",
        perform=lambda pk, who, why: services.requeue_task(task_id=pk, actor=who, reason=why),
        states=frozenset({TaskState.LEASED}),
        icon="undo",
    ),
)
offer(
    Update,
    Act(
        name="nudge",
        label="Examine it now",
        consequence="A worker is asked for the verdict again.",
        perform=lambda pk, who, why: services.nudge_update(update_id=pk, actor=who, reason=why),
        states=frozenset({UpdateState.RECEIVED}),
        icon="notifications_active",
    ),
)
offer(
    Upload,
    Act(
        name="close",
        label="Close",
        consequence="The bytes that arrived are thrown away. The agent begins its upload anew.",
        perform=lambda pk, who, why: services.close_upload(upload_id=pk, actor=who, reason=why),
        states=frozenset({UploadState.OPEN}),
        icon="close",
    ),
)
offer(
    FailedJob,
    Act(
        name="send",
        label="Send it again",
        consequence="A worker is asked for the job once more. If it kills its worker, it does so "
        "again.",
        perform=lambda pk, who, why: life.send_again(failed_job_id=pk, actor=who, reason=why),
        states=frozenset({FailedJobState.FAILED}),
        icon="replay",
    ),
    Act(
        name="put_aside",
        label="Put aside",
        consequence="It is named no more among what is wrong, until it fails again.",
        perform=lambda pk, who, why: life.put_aside(failed_job_id=pk, actor=who, reason=why),
        states=frozenset({FailedJobState.FAILED}),
        icon="archive",
    ),
)
offer(
    OutboxMessage,
    Act(
        name="resend",
        label="Send what waits",
        consequence="Everything that the outbox still holds is sent, not this message alone.",
        perform=lambda _, who, why: services.resend_messages(actor=who, reason=why),
        icon="send",
    ),
)
offer(
    Federation,
    Act(
        name="pause",
        label="Pause",
        consequence="Until it is resumed no work of this federation is handed out, no round opens, "
        "no run starts and nobody joins; deadlines stand still. What agents have begun may still "
        "come in. Members read the reason on its page.",
        perform=lambda pk, who, why: services.pause_federation(
            federation_id=pk, actor=who, reason=why
        ),
        states=frozenset({FederationState.ACTIVE}),
        icon="pause",
    ),
    Act(
        name="resume",
        label="Resume",
        consequence="Its work is handed out again.",
        perform=lambda pk, who, why: services.resume_federation(
            federation_id=pk, actor=who, reason=why
        ),
        states=frozenset({FederationState.PAUSED}),
        icon="play_arrow",
    ),
)
