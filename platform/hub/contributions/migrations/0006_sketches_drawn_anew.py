from django.db import migrations, models


class Migration(migrations.Migration):
    """Sketches are drawn in another way, and only compare with their like: earlier ones go.

    Rounds of the last two days are looked at again; cases stay as they are.
    """

    dependencies = [("contributions", "0005_rewards")]

    operations = [
        migrations.RunSQL("DELETE FROM contributions_sketch", migrations.RunSQL.noop),
        migrations.RemoveField(model_name="sketch", name="values"),
        migrations.AddField(
            model_name="sketch", name="packed", field=models.BinaryField(), preserve_default=False
        ),
    ]
