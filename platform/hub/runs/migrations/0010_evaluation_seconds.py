from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0009_value_tasks"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="device_seconds",
            field=models.FloatField(default=0),
        ),
    ]
