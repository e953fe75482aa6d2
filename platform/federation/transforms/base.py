"""Where transforms are found."""

from federation.registry import Registry

transforms: Registry[type] = Registry("transform")
