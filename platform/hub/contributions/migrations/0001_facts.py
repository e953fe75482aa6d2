"""The facts come over from the app "ledger", with their rows."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("federations", "0001_initial"),
        ("ledger", "0001_initial"),
        ("runs", "0001_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="ContributionFact",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "outcome",
                            models.CharField(
                                choices=[
                                    ("accepted", "accepted"),
                                    ("rejected", "rejected"),
                                    ("late", "late"),
                                    ("missed", "missed"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("examples", models.PositiveIntegerField(default=0)),
                        ("tokens", models.BigIntegerField(default=0)),
                        ("steps", models.PositiveIntegerField(default=0)),
                        ("device_seconds", models.FloatField(default=0)),
                        ("bytes_up", models.BigIntegerField(default=0)),
                        ("bytes_down", models.BigIntegerField(default=0)),
                        ("weight", models.FloatField(default=0)),
                        (
                            "participation",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="facts",
                                to="federations.participation",
                            ),
                        ),
                        (
                            "round",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="facts",
                                to="runs.round",
                            ),
                        ),
                        (
                            "update",
                            models.OneToOneField(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="fact",
                                to="runs.update",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "ledger_contributionfact",
                        "ordering": ("id",),
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("round", "participation", "outcome"),
                                name="one_fact_per_outcome",
                            )
                        ],
                    },
                ),
            ],
        ),
        migrations.AlterModelTable(name="contributionfact", table=None),
    ]
