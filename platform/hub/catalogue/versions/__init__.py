"""The line of versions: published, named, released, compared, merged."""
