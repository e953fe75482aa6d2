"""Agents may have several keys: each has a row of its own, the present one's id stays a column."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


def move_keys(apps, schema_editor):
    keys = apps.get_model("organisations", "AgentKey").objects
    for agent in apps.get_model("organisations", "Agent").objects.all():
        keys.create(agent=agent, public_key=agent.public_key, key_id=agent.key_id)


def move_back(apps, schema_editor):
    for key in apps.get_model("organisations", "AgentKey").objects.filter(expires_at=None):
        key.agent.public_key = key.public_key
        key.agent.save(update_fields=["public_key"])


class Migration(migrations.Migration):
    dependencies = [("organisations", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="agent",
            name="state",
            field=models.CharField(
                choices=[("active", "active"), ("revoked", "revoked"), ("left", "left")],
                default="active",
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="AgentKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("public_key", models.BinaryField(max_length=32)),
                ("key_id", models.CharField(max_length=64, unique=True)),
                ("expires_at", models.DateTimeField(null=True)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="organisations.agent",
                    ),
                ),
            ],
            options={
                "ordering": ("created_at",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(expires_at__isnull=True),
                        fields=["agent"],
                        name="one_present_key_per_agent",
                    )
                ],
            },
        ),
        # Nullable on its way out, so that the way back can fill it.
        migrations.AlterField(
            model_name="agent",
            name="public_key",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.RunPython(move_keys, move_back),
        migrations.RemoveField(model_name="agent", name="public_key"),
    ]
