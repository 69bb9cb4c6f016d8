"""What most methods ask of their arguments; each raises an InputError that names what was found."""

from ..errors import InputError


def check_share(name: str, value: float) -> None:
    """Make sure that a share, such as a density, is above 0 and at most 1."""
    if not 0 < value <= 1:
        raise InputError(f"{name} must be in (0, 1], found {value}")


def check_steps(steps: int) -> None:
    """Make sure that a training has a length."""
    if steps < 1:
        raise InputError(f"steps must be 1 or more, found {steps}")


def check_scope(scope: str) -> None:
    """Make sure that synapses are counted in all layers together or in each."""
    if scope not in ("global", "layer"):
        raise InputError(f"scope must be 'global' or 'layer', found {scope!r}")
