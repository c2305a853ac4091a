"""Images drawn by code: textures, structures, lighting and defects, endless and seeded."""

from ahl.synthetic.groups import DrawnGroup, draw_group
from ahl.synthetic.materials import FAMILIES, draw_material

__all__ = ["FAMILIES", "DrawnGroup", "draw_group", "draw_material"]
