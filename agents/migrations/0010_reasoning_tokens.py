from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0009_reasoning_and_mcp_calls'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='reasoning_tokens',
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
    ]
