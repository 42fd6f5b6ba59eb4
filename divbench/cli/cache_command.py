"""``divbench cache``: its two commands."""

import click


@click.group()
def cache() -> None:
    """Embeddings and radii kept from earlier runs."""


@cache.command()
def info() -> None:
    """Say where the cache is and how much it holds."""
    from divbench.cache import Cache

    held = Cache().info()
    click.echo(f"{held.folder}: {held.files} files, {held.bytes / 2**20:.1f} MiB")


@cache.command()
def clear() -> None:
    """Remove everything that the cache holds."""
    from divbench.cache import Cache

    removed = Cache().clear()
    click.echo(f"{removed.folder}: removed {removed.files} files, {removed.bytes / 2**20:.1f} MiB")
