"""Images drawn by code: textures, structures, lighting and defects, endless and seeded."""

from ahl.synthetic.groups import CLASSES, DrawnGroup, draw_group
from ahl.synthetic.materials import FAMILIES

__all__ = ["CLASSES", "FAMILIES", "DrawnGroup", "draw_group"]
