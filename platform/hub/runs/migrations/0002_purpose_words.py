"""What the purposes of runs are called on screen; the table stays as it is."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="run",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("federated", "Together"),
                    ("solo", "One organisation alone"),
                    ("reference", "All data in one place"),
                ],
                default="federated",
                max_length=12,
            ),
        ),
    ]
