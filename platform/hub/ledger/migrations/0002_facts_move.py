"""The facts of contributions become an app of their own; this one keeps the log under all others."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("contributions", "0001_facts")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name="ContributionFact")],
        ),
    ]
