"""What every part of a recipe is: frozen, strict, checked."""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Config(BaseModel):
    """Frozen, unknown keys refused, defaults checked too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _a_switch_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python's True is 1: `steps: yes` would train for one step."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and _is_number(field.annotation):
            raise ValueError(f"expected a number, found {str(value).lower()}")
        return value


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(_is_number(part) for part in get_args(annotation))
