"""The `ahl` command's process settings, applied on import.

Import it before torch, which reads the settings when it is loaded.
"""

from ahl._common.process_settings import settle_process

settle_process()
