#!/bin/sh
# Before the others start: checks the settings, migrates the database, makes the bucket. Then ends.
set -eu
cd "$(dirname "$0")/../.."
exec python manage.py prepare
