import django.db.models.deletion
from django.db import migrations, models
from django.db.models import OuterRef, Subquery

AT_ONCE = "SET CONSTRAINTS ALL IMMEDIATE"  # PostgreSQL alters no table with checks outstanding


def make_commits(apps, _):
    """Each version so far has one commit: the files that it was published with."""
    version, commit, file = (
        apps.get_model("catalogue", name)
        for name in ("ModelVersion", "VersionCommit", "VersionFile")
    )
    for one in version.objects.only("revision", "created_at").iterator():
        made = commit.objects.create(
            version=one, number=1, revision=one.revision, reason="published"
        )
        commit.objects.filter(pk=made.pk).update(created_at=one.created_at)
    own = commit.objects.filter(version=OuterRef("version"))
    file.objects.update(commit=Subquery(own.values("pk")[:1]))


def keep_newest(apps, _):
    """Going back, a version has the files of its newest commit."""
    commit, file = (apps.get_model("catalogue", name) for name in ("VersionCommit", "VersionFile"))
    newest = commit.objects.filter(version=OuterRef("version")).order_by("-number")
    past = commit.objects.exclude(pk=Subquery(newest.values("pk")[:1]))
    file.objects.filter(commit__in=past).delete()
    own = commit.objects.filter(pk=OuterRef("commit"))
    file.objects.update(version=Subquery(own.values("version")))


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0003_optimiser_state")]

    operations = [
        migrations.CreateModel(
            name="VersionCommit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("number", models.PositiveSmallIntegerField()),
                ("revision", models.CharField(db_index=True, max_length=40)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("published", "published"),
                            ("evaluated", "evaluated"),
                            ("described", "described anew"),
                        ],
                        max_length=12,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="commits",
                        to="catalogue.modelversion",
                    ),
                ),
            ],
            options={"ordering": ("number",)},
        ),
        migrations.AddConstraint(
            model_name="versioncommit",
            constraint=models.UniqueConstraint(
                fields=("version", "number"), name="commit_numbers_differ"
            ),
        ),
        migrations.RemoveConstraint("versionfile", "one_version_file_per_path"),
        migrations.AddField(
            model_name="versionfile",
            name="commit",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="files",
                to="catalogue.versioncommit",
            ),
        ),
        migrations.AlterField(
            model_name="versionfile",
            name="version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="files",
                to="catalogue.modelversion",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, AT_ONCE),
        migrations.RunPython(make_commits, keep_newest),
        migrations.RunSQL(AT_ONCE, migrations.RunSQL.noop),
        migrations.RemoveField("versionfile", "version"),
        migrations.AlterField(
            model_name="versionfile",
            name="commit",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="files",
                to="catalogue.versioncommit",
            ),
        ),
        migrations.AddConstraint(
            model_name="versionfile",
            constraint=models.UniqueConstraint(
                fields=("commit", "path"), name="one_version_file_per_path"
            ),
        ),
    ]
