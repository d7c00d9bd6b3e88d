"""Shapes in annotations, such as `Float[Tensor, "N L D"]`, checked at every call while the tests run (see conftest)."""

from collections.abc import Callable

from beartype import beartype


def checked(function: Callable) -> Callable:
    """The function with all arguments and results checked whose annotation has a shape. The rest is mypy's."""
    shapes = {name: hint for name, hint in function.__annotations__.items() if "jaxtyping" in str(hint)}
    if not shapes:
        return function
    function.__annotations__ = shapes
    return beartype(function)
