from django.db import migrations, models

# What happened stays as it was told, whoever asks; the owner of the table would have to switch
# this off first, as for retention.
KEEP = """
CREATE FUNCTION public.events_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an event never changes'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'events_never_change';
END $$;
CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON public.common_event
    FOR EACH ROW EXECUTE FUNCTION public.events_keep();
"""
LET_GO = """
DROP TRIGGER events_never_change ON public.common_event;
DROP FUNCTION public.events_keep();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0002_switchboard"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["actor_id", "id"], name="events_by_actor"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["kind", "id"], name="events_by_kind"),
        ),
        migrations.RunSQL(KEEP, LET_GO),
    ]
